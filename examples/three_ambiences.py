"""Give one video the same action under three ambiences: python examples/three_ambiences.py clip.mp4"""

import sys
from pathlib import Path

import foleykit

video = Path(sys.argv[1])
pipeline = foleykit.load("tiny-avldm")
for ambient, level_db in (("quiet", None), ("auto", None), ("auto", -25.0)):
    track = pipeline(video, ambient=ambient, ambient_level=level_db, seed=7)
    name = f"{video.stem}.{ambient}{'' if level_db is None else f'{level_db:g}dB'}.mp4"
    print(track.save(video.with_name(name)))
