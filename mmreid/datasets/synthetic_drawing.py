"""Draw pedestrians: who they are, what a camera does to them, and the picture.

Only integer arithmetic and filled convex polygons touch pixels, so that a picture is the same on every machine. Colours
are BGR. A body is drawn in its own coordinates: x to the right from the middle, y downwards from the top of the head,
both in units of the body height.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

Colour = tuple[int, int, int]
Range = tuple[float, float]

#: What a person can wear or carry.
PATTERNS = ('plain', 'rows', 'columns', 'checks', 'two-tone', 'print')
LEGWEAR = ('trousers', 'shorts', 'skirt')
BAGS = ('none', 'backpack', 'shoulder', 'hand')
HAIR = ('short', 'long', 'hat')
VIEWS = ('front', 'back', 'left', 'right')

_COLOURS: dict[str, Colour] = dict(
    white=(232, 235, 236), black=(34, 32, 33), grey=(128, 130, 131), silver=(186, 188, 190), red=(48, 44, 196),
    maroon=(44, 36, 104), orange=(44, 120, 226), yellow=(60, 206, 232), green=(70, 150, 62), olive=(52, 92, 96),
    teal=(140, 132, 40), sky=(222, 176, 110), blue=(188, 84, 40), navy=(88, 46, 34), denim=(142, 98, 66),
    purple=(150, 60, 116), pink=(180, 142, 234), beige=(152, 186, 206), brown=(48, 72, 108), charcoal=(66, 62, 60))
_SKINS: Sequence[Colour] = ((150, 178, 226), (120, 154, 208), (92, 124, 178), (62, 88, 136), (46, 62, 98))
_HAIRS: Sequence[Colour] = ((24, 26, 30), (36, 46, 62), (52, 78, 112), (96, 138, 172), (150, 152, 154))


@dataclass(frozen=True)
class Domain:
    """A camera network: what people wear there, and the ranges from which its cameras are drawn."""

    tops: Sequence[str]
    bottoms: Sequence[str]
    backgrounds: Sequence[str]
    patterns: Sequence[float]  # weights of PATTERNS
    legwear: Sequence[float]  # weights of LEGWEAR
    bags: Sequence[float]  # weights of BAGS
    hair: Sequence[float]  # weights of HAIR
    coat: float  # share of people in long coats
    bare_arms: float  # share of people with short sleeves
    gain: Range
    gamma: Range
    cast: float  # strength of the colour cast
    cast_phase: float  # where on the hue circle the first camera's cast lies
    saturation: Range
    blur: Range
    noise: Range
    weather: float  # how much light and colour change from picture to picture
    occlusion: Range
    tilt: Range  # how much a high camera shortens the legs
    clutter: int  # objects in the background
    margin: Range  # body height over image height
    views: float  # how strongly a camera prefers one view


#: ``a``: daylight on a campus, light clothes in many colours, low cameras. ``b``: evening in a station hall in winter,
#: dark coats told apart by what is carried, strong casts, high and blurred cameras in front of cluttered walls.
DOMAINS: dict[str, Domain] = dict(
    a=Domain(
        tops=('white', 'red', 'yellow', 'green', 'sky', 'blue', 'grey', 'beige', 'black', 'navy'),
        bottoms=('denim', 'black', 'beige', 'grey', 'navy'),
        backgrounds=('silver', 'beige', 'green', 'olive', 'sky', 'grey', 'brown'),
        patterns=(6, 2, 1, 1, 2, 2), legwear=(6, 3, 1), bags=(4, 3, 2, 1), hair=(5, 4, 1), coat=0.1, bare_arms=0.6,
        gain=(0.75, 1.15), gamma=(0.8, 1.25), cast=0.15, cast_phase=0.0, saturation=(0.6, 1.05), blur=(0.4, 0.9),
        noise=(6, 16), weather=0.15, occlusion=(0.1, 0.3), tilt=(0.0, 0.1), clutter=10, margin=(0.8, 1.0), views=0.7),
    b=Domain(
        tops=('black', 'charcoal', 'navy', 'brown', 'maroon', 'olive', 'grey', 'teal', 'purple', 'beige', 'white'),
        bottoms=('black', 'charcoal', 'navy', 'denim', 'brown', 'grey'),
        backgrounds=('charcoal', 'brown', 'grey', 'beige', 'navy', 'teal', 'silver'),
        patterns=(4, 1, 2, 3, 2, 1), legwear=(8, 0, 2), bags=(2, 3, 3, 3), hair=(3, 3, 3), coat=0.4, bare_arms=0.1,
        gain=(0.7, 1.1), gamma=(0.75, 1.2), cast=0.25, cast_phase=2.0, saturation=(0.55, 0.95), blur=(0.6, 1.1),
        noise=(8, 20), weather=0.15, occlusion=(0.1, 0.3), tilt=(0.06, 0.18), clutter=12, margin=(0.76, 0.96),
        views=0.75))


@dataclass(frozen=True)
class Person:
    """What stays with an identity from camera to camera."""

    top: Colour
    top_second: Colour
    pattern: str
    period: float
    bottom: Colour
    legwear: str
    coat: bool
    bare_arms: bool
    skin: Colour
    hair: Colour
    hair_style: str
    hat: Colour
    shoes: Colour
    bag: str
    bag_colour: Colour
    bag_side: int
    build: float  # relative width


@dataclass(frozen=True)
class Camera:
    """What a camera does to every picture."""

    lut: np.ndarray
    saturation: int
    blur: float
    noise: int
    weather: float
    occlusion: float
    tilt: float
    light_side: int
    views: Sequence[float]
    backdrop: np.ndarray


@dataclass(frozen=True)
class Pose:
    """Body coordinates -> canvas, and the moment of the walk."""

    middle: float
    top: float
    height: float
    tilt: float
    view: str
    phase: float

    def points(self, body: Sequence[tuple[float, float]]) -> np.ndarray:
        """Map body coordinates to whole pixels, int32 of shape ``(N, 2)``."""
        return np.asarray([(self._x(x), self._y(y)) for x, y in body], dtype=np.int32)

    def _x(self, x: float) -> int:
        return round(self.middle + x * self.height)

    def _y(self, y: float) -> int:
        lower = max(0.0, y - 0.45)
        return round(self.top + (y - lower * self.tilt) * self.height)


def draw_person(rng: np.random.Generator, domain: Domain) -> Person:
    """Draw an identity."""
    tops = _pick_colour(rng, domain.tops), _pick_colour(rng, domain.tops)
    return Person(
        top=tops[0], top_second=tops[1], pattern=_pick(rng, PATTERNS, domain.patterns), period=rng.uniform(0.035, 0.09),
        bottom=_pick_colour(rng, domain.bottoms), legwear=_pick(rng, LEGWEAR, domain.legwear),
        coat=bool(rng.random() < domain.coat), bare_arms=bool(rng.random() < domain.bare_arms),
        skin=_jitter(rng, _SKINS[rng.integers(len(_SKINS))], 8),
        hair=_jitter(rng, _HAIRS[rng.integers(len(_HAIRS))], 8), hair_style=_pick(rng, HAIR, domain.hair),
        hat=_pick_colour(rng, domain.tops), shoes=_pick_colour(rng, domain.bottoms),
        bag=_pick(rng, BAGS, domain.bags), bag_colour=_pick_colour(rng, (*domain.tops, *domain.bottoms)),
        bag_side=int(rng.choice((-1, 1))), build=rng.uniform(0.82, 1.22))


def draw_camera(rng: np.random.Generator, domain: Domain, number: int, height: int, width: int) -> Camera:
    """Draw a camera for pictures of ``height x width``; ``number`` spreads the casts over the hue circle."""
    angle = domain.cast_phase + 2 * math.pi * 0.618 * number
    gain = rng.uniform(*domain.gain)
    gains = [gain * (1 + domain.cast * math.cos(angle + shift)) for shift in (0.0, 2.09, 4.19)]
    gamma = rng.uniform(*domain.gamma)
    lut = np.asarray([[[min(255, round(255 * gain * (value / 255)**gamma)) for gain in gains] for value in range(256)]],
                     dtype=np.uint8)
    views = np.full(len(VIEWS), (1 - domain.views) / (len(VIEWS) - 1))
    views[rng.integers(len(VIEWS))] = domain.views
    return Camera(
        lut=lut, saturation=round(256 * rng.uniform(*domain.saturation)), blur=rng.uniform(*domain.blur),
        noise=round(rng.uniform(*domain.noise)), weather=domain.weather, occlusion=rng.uniform(*domain.occlusion),
        tilt=rng.uniform(*domain.tilt), light_side=int(rng.choice((-1, 1))), views=tuple(views / views.sum()),
        backdrop=_draw_backdrop(rng, domain, 2 * height, 2 * width))


def draw_picture(rng: np.random.Generator, person: Person, camera: Camera, domain: Domain, height: int, width: int,
                 bad_crop: bool = False) -> np.ndarray:
    """Draw one picture of a person.

    Args:
        rng (np.random.Generator): Source of everything that changes from picture to picture.
        person (Person): Who is seen.
        camera (Camera): By which camera.
        domain (Domain): Where, for passers-by.
        height (int): Height of the picture.
        width (int): Width of the picture.
        bad_crop (bool): Cut the picture as a failed detection would. Defaults to False.

    Returns:
        np.ndarray: BGR uint8 of shape ``(height, width, 3)``.
    """
    rows, columns = 2 * height, 2 * width
    left = int(rng.integers(camera.backdrop.shape[1] - columns + 1))
    canvas = np.ascontiguousarray(camera.backdrop[:, left:left + columns])
    pose = _draw_pose(rng, camera, domain, rows, columns, bad_crop)
    if rng.random() < 0.2:
        _draw_passer_by(rng, canvas, camera, domain, pose)
    _draw_body(canvas, person, pose)
    if rng.random() < camera.occlusion:
        _draw_obstacle(rng, canvas, domain)
    return _expose(rng, _halve(canvas), camera)


# ---- choosing ----------------------------------------------------------------------------------------------------


def _pick(rng: np.random.Generator, names: Sequence[str], weights: Sequence[float]) -> str:
    weights = np.asarray(weights, dtype=float)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _pick_colour(rng: np.random.Generator, names: Sequence[str]) -> Colour:
    return _jitter(rng, _COLOURS[names[int(rng.integers(len(names)))]], 22)


def _jitter(rng: np.random.Generator, colour: Colour, amount: int) -> Colour:
    shifted = np.asarray(colour) + rng.integers(-amount, amount + 1, 3)
    return tuple(int(value) for value in shifted.clip(0, 255))


def _shade(colour: Colour, percent: int) -> Colour:
    return tuple(min(255, value * percent // 100) for value in colour)


def _draw_pose(rng: np.random.Generator, camera: Camera, domain: Domain, rows: int, columns: int,
               bad_crop: bool) -> Pose:
    body = rng.uniform(*domain.margin) * rows
    if bad_crop:
        body *= rng.uniform(1.3, 2.2)
    slack = rows - body
    top = slack * rng.uniform(0.2, 0.8) if slack > 0 else slack * rng.uniform(0.0, 1.0)
    middle = columns * (0.5 + rng.uniform(-0.09, 0.09) * (4 if bad_crop else 1))
    view = VIEWS[int(rng.choice(len(VIEWS), p=camera.views))]
    return Pose(middle, top, body, camera.tilt, view, rng.uniform(-1.0, 1.0))


# ---- surroundings ------------------------------------------------------------------------------------------------


def _draw_backdrop(rng: np.random.Generator, domain: Domain, rows: int, columns: int) -> np.ndarray:
    """Walls, grounds, things and grain; many pictures wide, each picture shows a part of it."""
    wide = 24 * columns
    horizon = round(rows * rng.uniform(0.3, 0.7))
    backdrop = np.empty((rows, wide, 3), dtype=np.uint8)
    left = 0
    while left < wide:
        right = left + int(rng.integers(columns // 2, 2 * columns))
        backdrop[:horizon, left:right] = _pick_colour(rng, domain.backgrounds)
        backdrop[horizon:, left:right] = _pick_colour(rng, domain.backgrounds)
        left = right
    for line in range(horizon, rows, max(6, rows // int(rng.integers(6, 16)))):
        backdrop[line:line + 2] -= backdrop[line:line + 2] >> 3
    for _ in range(6 * domain.clutter):
        left, width = int(rng.integers(wide)), int(rng.integers(columns // 16, columns // 2))
        top = int(rng.integers(0, horizon))
        thing = backdrop[top:top + int(rng.integers(rows // 10, rows // 2)), left:left + width]
        thing[:] = _pick_colour(rng, domain.backgrounds)
        thing[:, :2] >>= 1
    grain = rng.integers(-14, 15, (rows // 4, wide // 4, 1), dtype=np.int16).repeat(4, axis=0).repeat(4, axis=1)
    covered = backdrop[:grain.shape[0], :grain.shape[1]]
    covered[:] = (covered + grain).clip(0, 255)
    return backdrop


def _draw_passer_by(rng: np.random.Generator, canvas: np.ndarray, camera: Camera, domain: Domain, pose: Pose) -> None:
    side = float(rng.choice((-1, 1)))
    away = Pose(pose.middle + side * canvas.shape[1] * rng.uniform(0.38, 0.6), pose.top + canvas.shape[0] * 0.06,
                pose.height * rng.uniform(0.75, 0.95), camera.tilt, pose.view, rng.uniform(-1.0, 1.0))
    _draw_body(canvas, draw_person(rng, domain), away)


def _draw_obstacle(rng: np.random.Generator, canvas: np.ndarray, domain: Domain) -> None:
    rows, columns = canvas.shape[:2]
    colour = _pick_colour(rng, domain.backgrounds)
    if rng.random() < 0.5:  # a pole or the edge of a wall
        x = int(rng.integers(0, columns))
        canvas[:, x:x + int(rng.integers(columns // 12, columns // 4))] = colour
    else:  # a bench, a bin, a parapet
        y = rows - int(rng.integers(rows // 10, rows // 3))
        x = int(rng.integers(-columns // 3, columns // 2))
        canvas[y:, max(0, x):x + columns * 2 // 3] = colour


# ---- body --------------------------------------------------------------------------------------------------------


def _fill(canvas: np.ndarray, pose: Pose, colour: Colour, body: Sequence[tuple[float, float]]) -> None:
    cv2.fillConvexPoly(canvas, pose.points(body), colour)


def _limb(canvas: np.ndarray, pose: Pose, colour: Colour, start: tuple[float, float], end: tuple[float, float],
          widths: tuple[float, float]) -> None:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    nx, ny = -dy / length / 2, dx / length / 2
    sides = [(start, widths[0]), (end, widths[1]), (end, -widths[1]), (start, -widths[0])]
    _fill(canvas, pose, colour, [(x + nx * width, y + ny * width) for (x, y), width in sides])


def _draw_body(canvas: np.ndarray, person: Person, pose: Pose) -> None:
    side = pose.view in ('left', 'right')
    wide = person.build * (0.62 if side else 1.0)
    mirror = -1 if pose.view in ('back', 'left') else 1
    if person.bag == 'backpack' and pose.view != 'back':
        _draw_backpack(canvas, person, pose, wide, behind=True)
    _draw_arm(canvas, person, pose, wide, -1)
    _draw_legs(canvas, person, pose, wide)
    _draw_torso(canvas, person, pose, wide)
    _draw_arm(canvas, person, pose, wide, 1)
    _draw_head(canvas, person, pose)
    if person.bag == 'backpack' and pose.view == 'back':
        _draw_backpack(canvas, person, pose, wide, behind=False)
    elif person.bag in ('shoulder', 'hand'):
        _draw_bag(canvas, person, pose, wide, mirror * person.bag_side)


def _draw_legs(canvas: np.ndarray, person: Person, pose: Pose, wide: float) -> None:
    stride = 0.11 if pose.view in ('left', 'right') else 0.035
    knee = 0.7
    for foot in (-1, 1):
        hip = (foot * 0.045 * wide, 0.48)
        ankle = (foot * (0.04 * wide + stride * abs(pose.phase)), 0.95 - 0.03 * max(0.0, foot * pose.phase))
        middle = ((hip[0] + ankle[0]) / 2, knee)
        lower = person.bottom if person.legwear == 'trousers' else person.skin
        lower = _shade(lower, 88 if foot < 0 else 100)
        _limb(canvas, pose, lower, middle, ankle, (0.07, 0.05))
        upper = person.skin if person.legwear == 'skirt' else person.bottom
        _limb(canvas, pose, _shade(upper, 88 if foot < 0 else 100), hip, middle, (0.1 * person.build, 0.075))
        _limb(canvas, pose, person.shoes, (ankle[0] - 0.03, 0.965), (ankle[0] + 0.035, 0.965), (0.035, 0.035))
    if person.legwear == 'skirt':
        _fill(canvas, pose, person.bottom, [(-0.085 * wide, 0.46), (0.085 * wide, 0.46), (0.12 * wide, 0.68),
                                            (-0.12 * wide, 0.68)])


def _draw_torso(canvas: np.ndarray, person: Person, pose: Pose, wide: float) -> None:
    hem = 0.68 if person.coat else 0.5
    outline = pose.points([(-0.12 * wide, 0.17), (-0.05 * wide, 0.14), (0.05 * wide, 0.14), (0.12 * wide, 0.17),
                           (0.1 * wide, hem), (-0.1 * wide, hem)])
    if person.pattern == 'plain':
        cv2.fillConvexPoly(canvas, outline, person.top)
        return
    low = np.maximum(outline.min(axis=0), 0)
    high = np.minimum(outline.max(axis=0) + 1, canvas.shape[1::-1])
    if (high <= low).any():
        return
    window = canvas[low[1]:high[1], low[0]:high[0]]
    inside = np.zeros(window.shape[:2], dtype=np.uint8)
    cv2.fillConvexPoly(inside, outline - low.astype(np.int32), 1)
    second = _pattern(person, pose, low, window.shape[:2])
    window[inside == 1] = person.top
    window[(inside == 1) & second] = person.top_second


def _pattern(person: Person, pose: Pose, low: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Where the second colour of the top shows, boolean of ``shape``."""
    period = max(2, round(person.period * pose.height))
    y = np.arange(shape[0])[:, None] + int(low[1]) - round(pose.top)
    x = np.arange(shape[1])[None, :] + int(low[0]) - round(pose.middle)
    chest = round(0.31 * pose.height)
    if person.pattern == 'rows':
        return np.broadcast_to((y // period) % 2 == 0, shape)
    if person.pattern == 'columns':
        return np.broadcast_to((x // period) % 2 == 0, shape)
    if person.pattern == 'checks':
        return ((y // period) + (x // period)) % 2 == 0
    if person.pattern == 'two-tone':
        return np.broadcast_to(y > chest, shape)
    shown = pose.view == 'front'
    return (abs(y - chest + period) < period) & (abs(x) < 2 * period) & shown


def _draw_arm(canvas: np.ndarray, person: Person, pose: Pose, wide: float, hand: int) -> None:
    swing = 0.08 * pose.phase * hand if pose.view in ('left', 'right') else 0.02 * abs(pose.phase) * hand
    shoulder = (hand * 0.105 * wide, 0.185)
    elbow = (hand * 0.135 * wide + swing / 2, 0.33)
    wrist = (hand * 0.135 * wide + swing, 0.47)
    sleeve = _shade(person.top, 86 if hand < 0 else 94)
    _limb(canvas, pose, person.skin if person.bare_arms else sleeve, elbow, wrist, (0.045, 0.035))
    _limb(canvas, pose, sleeve, shoulder, elbow, (0.065 * person.build, 0.05))


@cache
def _disc(x: float, y: float, rx: float, ry: float) -> Sequence[tuple[float, float]]:
    angles = [2 * math.pi * step / 12 for step in range(12)]
    return tuple((x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles)


def _draw_head(canvas: np.ndarray, person: Person, pose: Pose) -> None:
    facing = dict(front=0.0, back=0.0, left=-0.018, right=0.018)[pose.view]
    _limb(canvas, pose, _shade(person.skin, 85), (0.0, 0.1), (0.0, 0.15), (0.05, 0.055))
    if person.hair_style == 'long':
        _fill(canvas, pose, person.hair, [(-0.06 - facing, 0.05), (0.06 - facing, 0.05), (0.065 - facing, 0.2),
                                          (-0.065 - facing, 0.2)])
    _fill(canvas, pose, person.hair, _disc(-facing / 2, 0.058, 0.06, 0.062))
    if pose.view != 'back':
        _fill(canvas, pose, person.skin, _disc(facing, 0.075, 0.046, 0.052))
    if person.hair_style == 'hat':
        _fill(canvas, pose, person.hat, [(-0.066, 0.05), (-0.05, -0.005), (0.05, -0.005), (0.066, 0.05)])


def _draw_backpack(canvas: np.ndarray, person: Person, pose: Pose, wide: float, behind: bool) -> None:
    colour = person.bag_colour
    if not behind:
        _fill(canvas, pose, colour, [(-0.08 * wide, 0.19), (0.08 * wide, 0.19), (0.09 * wide, 0.4),
                                     (-0.09 * wide, 0.4)])
        _fill(canvas, pose, _shade(colour, 70), [(-0.06 * wide, 0.31), (0.06 * wide, 0.31), (0.06 * wide, 0.38),
                                                 (-0.06 * wide, 0.38)])
        return
    shift = dict(front=0.0, left=0.1, right=-0.1).get(pose.view, 0.0)
    half = 0.135 * wide if pose.view == 'front' else 0.075
    _fill(canvas, pose, colour, [(shift - half, 0.18), (shift + half, 0.18), (shift + half, 0.41),
                                 (shift - half, 0.41)])


def _draw_bag(canvas: np.ndarray, person: Person, pose: Pose, wide: float, side: int) -> None:
    x = side * 0.15 * wide
    top = 0.4 if person.bag == 'shoulder' else 0.5
    if person.bag == 'shoulder':
        _limb(canvas, pose, _shade(person.bag_colour, 75), (-side * 0.08 * wide, 0.15), (x, top + 0.02), (0.025, 0.025))
    _fill(canvas, pose, person.bag_colour, [(x - 0.065, top), (x + 0.065, top), (x + 0.07, top + 0.13),
                                            (x - 0.07, top + 0.13)])


# ---- exposure ----------------------------------------------------------------------------------------------------


def _halve(canvas: np.ndarray) -> np.ndarray:
    """Mean of 2 x 2 pixels, rounded half up."""
    rows = canvas[0::2].astype(np.uint16) + canvas[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def _expose(rng: np.random.Generator, picture: np.ndarray, camera: Camera) -> np.ndarray:
    """Light from a side, blur, saturation, colour cast and noise, in this order."""
    width = picture.shape[1]
    gains = rng.uniform(0.85, 1.1) * (1 + rng.uniform(-camera.weather, camera.weather, 3))
    slope = round(256 * rng.uniform(0.0, 0.35)) * camera.light_side
    ramp = slope * (2 * np.arange(width, dtype=np.int32) - width) // (2 * width)
    lit = np.minimum((picture * ((256 * gains).astype(np.int32) + ramp[:, None])) >> 8, 255).astype(np.uint8)
    sigma = round(camera.blur * rng.uniform(0.7, 1.3), 2)
    blurred = cv2.GaussianBlur(lit, (7, 7), sigma).astype(np.int32)
    grey = (blurred @ np.asarray([29, 150, 77]) >> 8)[:, :, None]
    tinted = cv2.LUT((grey + ((blurred - grey) * camera.saturation >> 8)).clip(0, 255).astype(np.uint8), camera.lut)
    grain = rng.integers(0, 256, (2, *picture.shape), dtype=np.uint8).astype(np.int32).sum(axis=0) - 255
    return (tinted + (grain * camera.noise >> 8)).clip(0, 255).astype(np.uint8)
