"""Models whose weights others publish, and where: what `foley models list` shows and `foley models download` fetches.

Checksums are the MD5 that the authors of MMAudio and Cnn14 publish, and for other files the SHA-256 that their hosts
list, as public projects have recorded it. A file without one is checked by its size alone.
"""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foleykit.core.errors import UsageError

MIB, GIB, MB, GB = 2**20, 2**30, 10**6, 10**9

Family = Literal["avldm", "foleygen", "textvideo", "scores"]
Converter = Literal["mmaudio", "audiogen-codec", "vggish", "cnn14", "passt", "imagebind"]
MemoryBasis = Literal["measured", "weights"]


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """What the bytes of a file add up to."""

    algorithm: Literal["md5", "sha256"]
    value: str
    """Hexadecimal digits."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file of a model as its authors publish it."""

    url: str
    num_bytes: int
    """Its size or, where only a rounded one is published, the largest that rounds to it."""
    rounded_to: int = 1
    """Bytes between two sizes that look different where it is published."""
    checksum: Checksum | None = None
    """None where no checksum is published."""

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]

    def has_size(self, num_bytes: int) -> bool:
        """Return whether a file of so many bytes can be this one."""
        return self.num_bytes - self.rounded_to < num_bytes <= self.num_bytes


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What generation takes in float32 on a CPU."""

    num_bytes: int
    basis: MemoryBasis
    """Peak of the whole process as benchmarks/results has it, or the weights alone."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A model that could be had."""

    name: str
    family: Family
    licence: str
    """Of all its files, the strictest first."""
    commercial_use: bool
    """Whether the licences allow it."""
    sample_rate: int
    """Of what it makes; of what it hears, where it only scores."""
    memory: Memory
    files: tuple[PublishedFile, ...]
    converter: Converter
    """Which `foley models convert` makes a folder of the files."""
    size: str = ""
    """Which of several networks the converter is to take."""

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)

    @property
    def store(self) -> str:
        """Name of the folder of the files; models that share files share it."""
        return "mmaudio" if self.converter == "mmaudio" else self.name

    @property
    def is_model(self) -> bool:
        """Return whether sound can be generated with it, rather than coded or scored."""
        return self.converter == "mmaudio"

    def convert_command(self, files: Path, output: Path) -> str:
        """Return the command that makes the folder `output` of the downloaded `files`."""
        source = files if len(self.files) > 1 else files / self.files[0].name
        words = ["foley", "models", "convert", self.converter, str(source), str(output)]
        return shlex.join([*words, *(("--size", self.size) if self.size else ())])


def published(name: str) -> Published:
    """Return the entry of a name; raises UsageError that says which there are or which was meant."""
    entries = {entry.name: entry for entry in PUBLISHED}
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"choose one of {', '.join(entries)}"
        raise UsageError(f'there is no published model "{name}"; {hint}')
    return entries[name]


def published_checksum(file_name: str) -> Checksum | None:
    """Return the checksum published for a file of this name; None where none is."""
    files = (file for entry in PUBLISHED for file in entry.files if file.name == file_name)
    return next((file.checksum for file in files if file.checksum is not None), None)


def allows_commercial_use(licence: str) -> bool | None:
    """Return whether the licence a model card states allows commercial use; None where we do not know it."""
    words = licence.lower()
    if re.search(r"\bnc\b|non-?commercial|no commercial|not for commercial|research only", words):
        return False
    if re.match(r"(apache-2\.0|mit|isc|bsd-[0-9]-clause|cc0-1\.0|cc-by-[0-9.]+|cc-by-sa-[0-9.]+)(?![\w-])", words):
        return True
    return None


def md5(value: str) -> Checksum:
    return Checksum(algorithm="md5", value=value)


def sha256(value: str) -> Checksum:
    return Checksum(algorithm="sha256", value=value)


HUB = "https://huggingface.co"
MMAUDIO_WEIGHTS = f"{HUB}/hkchengrex/MMAudio/resolve/eb13a1a98fdbec91753775c57b074ccdfc60587c/weights"
MMAUDIO_RELEASE = "https://github.com/hkchengrex/MMAudio/releases/download/v0.1"
MMAUDIO_LICENCE = "CC-BY-NC-4.0 (MMAudio's weights: no commercial use; CLIP under Apple's own licence)"

SYNCHFORMER = PublishedFile(
    url=f"{MMAUDIO_RELEASE}/synchformer_state_dict.pth",
    num_bytes=950_058_171,
    checksum=md5("5b2f5594b0730f70e41e549b7c94390c"),
)
DFN5B_CLIP = PublishedFile(
    url=f"{HUB}/apple/DFN5B-CLIP-ViT-H-14-384/resolve/01b771ed0d1395ca5ffdd279897d665ebe00dfd2/"
    "open_clip_pytorch_model.bin",
    num_bytes=3_947_081_637,
    checksum=sha256("c07a17b547d461c60a3cce5062b26bf8545b13de602c4c59d8490361eb716033"),
)
CLIP_VOCABULARY = PublishedFile(
    url="https://raw.githubusercontent.com/openai/CLIP/d05afc436d78f1c48dc0dbf8e5980a9d471f35f6/clip/"
    "bpe_simple_vocab_16e6.txt.gz",
    num_bytes=1_356_917,
    checksum=sha256("924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"),
)
VAE_16K = PublishedFile(
    url=f"{MMAUDIO_RELEASE}/v1-16.pth", num_bytes=686_652_758, checksum=md5("69f56803f59a549a1a507c93859fd4d7")
)
VAE_44K = PublishedFile(
    url=f"{MMAUDIO_RELEASE}/v1-44.pth", num_bytes=1_221_942_998, checksum=md5("fab020275fa44c6589820ce025191600")
)
VOCODER_16K = PublishedFile(
    url=f"{MMAUDIO_RELEASE}/best_netG.pt", num_bytes=449_217_313, checksum=md5("eeaf372a38a9c31c362120aba2dde292")
)
BIGVGAN_44K = PublishedFile(
    url=f"{HUB}/nvidia/bigvgan_v2_44khz_128band_512x/resolve/95a9d1dcb12906c03edd938d77b9333d6ded7dfb/"
    "bigvgan_generator.pt",
    num_bytes=489_041_291,
    checksum=sha256("d9fe7ec6bd0b44ed9d66973d5012d8181c1570b01e5c72df51973e241dccd357"),
)


def mmaudio(size: str, num_bytes: int, digest: str, memory: Memory, *, rounded_to: int = 1) -> Published:
    """Return one of MMAudio's five models (Cheng et al., CVPR 2025); the network's file has the given size and MD5."""
    network = PublishedFile(
        url=f"{MMAUDIO_WEIGHTS}/mmaudio_{size.replace('-', '_')}.pth",
        num_bytes=num_bytes,
        rounded_to=rounded_to,
        checksum=md5(digest),
    )
    is_16k = size.endswith("16k")
    sound = (VAE_16K, VOCODER_16K) if is_16k else (VAE_44K, BIGVGAN_44K)
    return Published(
        name=f"mmaudio-{size}",
        family="textvideo",
        licence=MMAUDIO_LICENCE,
        commercial_use=False,
        sample_rate=16_000 if is_16k else 44_100,
        memory=memory,
        files=(network, *sound, SYNCHFORMER, CLIP_VOCABULARY, DFN5B_CLIP),
        converter="mmaudio",
        size=size,
    )


def single(
    name: str, family: Family, licence: str, sample_rate: int, converter: Converter, file: PublishedFile
) -> Published:
    """Return a model of one file, which takes about as much memory as it has bytes."""
    return Published(
        name=name,
        family=family,
        licence=licence,
        commercial_use=allows_commercial_use(licence) is True,
        sample_rate=sample_rate,
        memory=Memory(num_bytes=file.num_bytes, basis="weights"),
        files=(file,),
        converter=converter,
    )


ZENODO = "https://zenodo.org/records/3987831/files"

PUBLISHED: tuple[Published, ...] = (
    mmaudio(
        "small-16k",
        601 * MIB,
        "af93cde404179f58e3919ac085b8033b",
        Memory(num_bytes=6_100 * MB, basis="measured"),
        rounded_to=MIB,
    ),
    mmaudio(
        "small-44k",
        629_946_624,
        "babd74c884783d13701ea2820a5f5b6d",
        Memory(num_bytes=6_780 * MB, basis="weights"),
    ),
    mmaudio(
        "medium-44k",
        24 * GIB // 10,
        "5a56b6665e45a1e65ada534defa903d0",
        Memory(num_bytes=8_630 * MB, basis="weights"),
        rounded_to=GIB // 10,
    ),
    mmaudio(
        "large-44k",
        39 * GIB // 10,
        "fed96c325a6785b85ce75ae1aafd2673",
        Memory(num_bytes=10_270 * MB, basis="weights"),
        rounded_to=GIB // 10,
    ),
    mmaudio(
        "large-44k-v2",
        4_122_474_715,
        "01ad4464f049b2d7efdaa4c1a59b8dfe",
        Memory(num_bytes=9_900 * MB, basis="measured"),
    ),
    single(
        "audiogen-codec",
        "foleygen",
        "CC-BY-NC-4.0",
        16_000,
        "audiogen-codec",
        PublishedFile(
            url=f"{HUB}/facebook/audiogen-medium/resolve/main/compression_state_dict.bin",
            num_bytes=238 * MB,
            rounded_to=4 * MB,
        ),
    ),
    single(
        "vggish",
        "scores",
        "Apache-2.0",
        16_000,
        "vggish",
        PublishedFile(
            url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
            num_bytes=290 * MB,
            rounded_to=3 * MB,
        ),
    ),
    single(
        "cnn14-16k",
        "scores",
        "CC-BY-4.0",
        16_000,
        "cnn14",
        PublishedFile(
            url=f"{ZENODO}/Cnn14_16k_mAP=0.438.pth",
            num_bytes=358_668_570,
            checksum=md5("362fc5ff18f1d6ad2f6d464b45893f2c"),
        ),
    ),
    single(
        "cnn14-32k",
        "scores",
        "CC-BY-4.0",
        32_000,
        "cnn14",
        PublishedFile(
            url=f"{ZENODO}/Cnn14_mAP=0.431.pth",
            num_bytes=327_428_481,
            checksum=md5("541141fa2ee191a88f24a3219fff024e"),
        ),
    ),
    single(
        "passt",
        "scores",
        "Apache-2.0",
        32_000,
        "passt",
        PublishedFile(
            url="https://github.com/kkoutini/PaSST/releases/download/v0.0.1-audioset/"
            "passt-s-f128-p16-s10-ap.476-swa.pt",
            num_bytes=344_665_734,
            checksum=sha256("302903fa8c4aee817b11dc982da0b29aaf8d11a3e722420476d0a12c9db70c2c"),
        ),
    ),
    single(
        "imagebind",
        "scores",
        "CC-BY-NC-4.0",
        16_000,
        "imagebind",
        PublishedFile(
            url="https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
            num_bytes=4_850 * MB,
            rounded_to=100 * MB,
        ),
    ),
)
"""Memory: measured figures are those of benchmarks/results/mmaudio_2core-epyc_202611.md, the others float32 weights."""
