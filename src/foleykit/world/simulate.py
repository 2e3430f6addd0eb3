"""One take: a place is drawn, an actor improvises in it, physics runs, contacts become events, a camera looks on."""

from __future__ import annotations

import numpy as np

from foleykit.world.captions import narrate, pick
from foleykit.world.choreography import Director
from foleykit.world.config import WorldConfig
from foleykit.world.film import CameraPath, Film
from foleykit.world.hearing import hear
from foleykit.world.places import draw_place
from foleykit.world.render import imitate_camera
from foleykit.world.scene import Scene, draw_scene
from foleykit.world.script import Deed
from foleykit.world.sources import draw_rain, rain_on
from foleykit.world.stage import Stage
from foleykit.world.types import MATERIALS, Action, Shape, SoundEvent, Split, Take
from foleykit.world.walking import Walker


def simulate(config: WorldConfig, *, seed: int, index: int, split: Split) -> Take:
    """Return the silent half of one long video: pictures and the events that should sound.

    The result depends on (config, seed, index, split) alone. Raises UsageError when no GL library can render.
    """
    rng = np.random.default_rng([seed, index, ("train", "valid", "test").index(split)])
    place, kind = draw_place(split, rng)
    scene = draw_scene(config, place, kind, rng)
    stage = Stage(scene, config)
    stage.settle()
    actor = Walker if scene.walking else Director
    director = actor(scene, stage, rng, config.physics_step)
    for segment in director.script():
        if not stage.run(segment):
            break
    deeds = director.log.deeds
    film = Film(stage, CameraPath(stage, rng), deeds)
    events = hear(stage, film, deeds) + _off_screen(config.seconds, rng)
    frames, times, surface_maps = film.frames()
    if rain := draw_rain(place):
        frames = rain_on(frames, times, rain)
    frames = imitate_camera(frames, rng)
    return Take(
        place=place,
        seconds=config.seconds,
        frames=frames,
        frame_times=times,
        surface_maps=surface_maps,
        events=tuple(sorted(events, key=lambda e: e.time)),
        gestures=tuple((d.start, min(d.end, config.seconds)) for d in deeds if d.action == "gesture"),
        narrations=_narrations(scene, deeds, config.seconds, rng),
    )


def _off_screen(seconds: float, rng: np.random.Generator) -> list[SoundEvent]:
    """Return sounds that nothing in the picture causes: knocks, a distant clank, footsteps next door."""
    events: list[SoundEvent] = []
    if rng.random() < 0.5:
        return events
    for _ in range(rng.integers(1, 5)):
        start = rng.uniform(0, seconds)
        action: Action = ("hit", "step", "drop", "hammer")[rng.integers(4)]
        material = MATERIALS[rng.integers(len(MATERIALS))]
        shape: Shape = ("plate", "vessel", "bar", "block")[rng.integers(4)]
        count, gap = (int(rng.integers(2, 7)), rng.uniform(0.2, 0.6)) if action != "drop" else (1, 0.0)
        size, body_seed = float(rng.uniform(0.1, 1.0)), int(rng.integers(1 << 31))
        strength = float(np.exp(rng.uniform(-3.5, 0)))
        striker = MATERIALS[rng.integers(len(MATERIALS))]
        for number in range(count):
            time, force = start + number * gap * rng.uniform(0.92, 1.08), strength * float(rng.uniform(0.7, 1.3))
            if time < seconds:
                events.append(
                    SoundEvent(
                        time=float(time), duration=0.0, kind="impact", action=action, material=material,
                        striker=striker, shape=shape, size=size, strength=force, body_seed=body_seed, on_screen=False,
                    )
                )  # fmt: skip
    return events


def _narrations(
    scene: Scene, deeds: list[Deed], seconds: float, rng: np.random.Generator
) -> tuple[tuple[float, str], ...]:
    sentences = []
    for deed in deeds:
        if deed.start >= seconds:
            continue
        subject = deed.held if deed.held is not None else deed.target
        tool = None
        if deed.held is None and deed.tool.kind not in ("hand", "finger", "fist", "jug", "shoe"):
            tool = f"a {pick((deed.tool.material + ' ', ''), rng)}{deed.tool.kind}"
        surface = scene.surface.noun if subject is not scene.surface else None
        sentence = narrate(
            deed.action, noun=subject.noun, material=subject.material, surface=surface, tool=tool, rng=rng
        )
        sentences.append((deed.start, sentence))
    return tuple(sentences)
