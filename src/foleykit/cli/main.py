"""The `foley` program: a table of commands, and the one place where an exception becomes a line and an exit code."""

from __future__ import annotations

import gc
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, TextIO

import typer
import typer.core

from foleykit import __version__
from foleykit.cli import (
    data,
    demo,
    detect,
    doctor,
    evaluate,
    evaluate_media,
    events,
    generate,
    index,
    listen,
    models,
    reproduce,
    train,
    world,
)
from foleykit.cli.command import EvaluateGroup, as_command
from foleykit.cli.show import print_error
from foleykit.core.errors import FoleyError, Interrupted, UsageError
from foleykit.core.threads import wait_briefly

TERMINATED = 143
COLLECTION_THRESHOLD = 100_000
"""New objects before Python looks for garbage; at its default, 700, that adds a third of a second to the imports."""


def build_app() -> typer.Typer:
    """Return the command line; nothing heavy is imported before a command runs."""
    app = _group("Give a video the sound it should have.")
    app.command("generate")(as_command(generate.Args, generate.run))
    app.command("events")(as_command(events.Args, events.run))
    app.command("detect")(as_command(detect.Args, detect.run))
    app.command("demo")(as_command(demo.Args, demo.run))
    app.command("doctor")(as_command(doctor.Args, doctor.run))

    train_app = _group("Train a model on the simulated world, stage by stage.")
    train_app.command("tiny-avldm")(as_command(train.AvLdmArgs, train.run_tiny_avldm))
    train_app.command("debug")(as_command(train.AvLdmArgs, train.run_debug))
    train_app.command("tiny-foleygen")(as_command(train.FoleyGenArgs, train.run_tiny_foleygen))
    train_app.command("tiny-textvideo")(as_command(train.TextVideoArgs, train.run_tiny_textvideo))
    train_app.command("debug-textvideo")(as_command(train.TextVideoArgs, train.run_debug_textvideo))
    train_app.command("vocoder-128x16k")(as_command(train.CommonArgs, train.run_vocoder))
    train_app.command("sync")(as_command(train.SyncArgs, train.run_sync))
    train_app.command("material-classifier")(as_command(train.WorldArgs, train.run_material_classifier))
    app.add_typer(train_app, name="train")

    models_app = _group("The models that can be used here.")
    models_app.command("list")(as_command(models.ListArgs, models.run_list))
    models_app.command("download")(as_command(models.DownloadArgs, models.run_download))
    models_app.command("info")(as_command(models.InfoArgs, models.run_info))
    convert_app = _group("Turn published checkpoints into folders; nothing in them is executed.")
    convert_app.command("action2sound")(as_command(models.ConvertArgs, models.run_convert))
    convert_app.command("mmaudio")(as_command(models.MMAudioArgs, models.run_convert_mmaudio))
    convert_app.command("vggish")(as_command(models.VggishArgs, models.run_convert_vggish))
    convert_app.command("cnn14")(as_command(models.EncoderArgs, models.run_convert_cnn14))
    convert_app.command("passt")(as_command(models.EncoderArgs, models.run_convert_passt))
    convert_app.command("imagebind")(as_command(models.EncoderArgs, models.run_convert_imagebind))
    convert_app.command("audioseal")(as_command(models.AudioSealArgs, models.run_convert_audioseal))
    convert_app.command("audiogen-codec")(as_command(models.EncoderArgs, models.run_convert_audiogen_codec))
    models_app.add_typer(convert_app, name="convert")
    app.add_typer(models_app, name="models")

    evaluate_app = _group(
        "Score generated sound, beside ground truth and chance. `foley evaluate GENERATED --reference DIR` is short "
        "for `foley evaluate media ...`, `foley evaluate --compare A B` for `foley evaluate compare A B`.",
        kind=EvaluateGroup,
    )
    evaluate_app.command("media")(as_command(evaluate_media.MediaArgs, evaluate_media.run_media))
    evaluate_app.command("cache")(as_command(evaluate_media.CacheArgs, evaluate_media.run_cache))
    evaluate_app.command("compare")(as_command(evaluate_media.CompareArgs, evaluate_media.run_compare))
    evaluate_app.command("model")(as_command(evaluate.ModelArgs, evaluate.run_model))
    evaluate_app.command("ambience")(as_command(evaluate.AmbienceArgs, evaluate.run_ambience))
    evaluate_app.command("world")(as_command(evaluate.WorldArgs, evaluate.run_world))
    evaluate_app.command("real")(as_command(evaluate.RealArgs, evaluate.run_real))
    app.add_typer(evaluate_app, name="evaluate")

    reproduce_app = _group("Published tables, with our models.")
    reproduce_app.command("action2sound-table")(as_command(reproduce.Action2SoundArgs, reproduce.run_action2sound))
    reproduce_app.command("textvideo-table")(as_command(reproduce.TextVideoTableArgs, reproduce.run_textvideo))
    reproduce_app.command("real-footage")(as_command(reproduce.RealFootageArgs, reproduce.run_real_footage))
    app.add_typer(reproduce_app, name="reproduce")

    world_app = _group("The simulated world that the models are trained on.")
    world_app.command("preview")(as_command(world.PreviewArgs, world.run_preview))
    world_app.command("build")(as_command(world.CacheArgs, world.run_cache))
    app.add_typer(world_app, name="world")

    index_app = _group("Libraries of ambient clips.")
    index_app.command("build")(as_command(index.BuildArgs, index.run_build))
    index_app.command("add")(as_command(index.AddArgs, index.run_add))
    index_app.command("query")(as_command(index.QueryArgs, index.run_query))
    index_app.command("stats")(as_command(index.StatsArgs, index.run_stats))
    app.add_typer(index_app, name="index")

    data_app = _group("Turn corpora of long videos into training data.")
    data_app.command("prepare")(as_command(data.PrepareArgs, data.run_prepare))
    data_app.command("filter")(as_command(data.FilterArgs, data.run_filter))
    data_app.command("world")(as_command(data.WorldArgs, data.run_world))
    app.add_typer(data_app, name="data")

    listen_app = _group("Listening tests: people choose between systems they cannot tell apart.")
    listen_app.command("make")(as_command(listen.MakeArgs, listen.run_make))
    listen_app.command("serve")(as_command(listen.ServeArgs, listen.run_serve))
    listen_app.command("results")(as_command(listen.ResultsArgs, listen.run_results))
    app.add_typer(listen_app, name="listen")

    @app.callback(invoke_without_command=True)
    def root(
        context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")
    ) -> None:
        if version:
            print(f"foleykit {__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            print(context.get_help())
            raise typer.Exit(UsageError.exit_code)

    return app


def _group(help_text: str, kind: type[typer.core.TyperGroup] = typer.core.TyperGroup) -> typer.Typer:
    return typer.Typer(
        cls=kind,
        help=help_text,
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 done, 2 usage, 3 bad media, 4 missing model, 5 partly failed, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    gc.set_threshold(COLLECTION_THRESHOLD)
    wait_briefly()
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _terminate)
    try:
        exit_code = _run(arguments)
    except FoleyError as error:
        exit_code = error.exit_code
        print_error(str(error), exit_code=exit_code, as_json=as_json)
    except typer.TyperException as error:
        exit_code = UsageError.exit_code
        print_error(f"{error.format_message().rstrip('.')}; see foley --help", exit_code=exit_code, as_json=as_json)
    sys.exit(exit_code)


def _run(arguments: list[str]) -> int:
    """Run one command and return its exit code; raises Interrupted where typer makes an exit code of Ctrl-C."""
    try:
        exit_code = build_app()(args=arguments, prog_name="foley", standalone_mode=False) or 0
    except KeyboardInterrupt:
        exit_code = Interrupted.exit_code
    if exit_code == Interrupted.exit_code:
        raise Interrupted("interrupted; no unfinished file was left")
    return int(exit_code)


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    # Raised in the main thread, so that temporary files are removed on the way out.
    raise SystemExit(TERMINATED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
