"""Trains a generator of 64 pixels from the shipped weights on a GPU machine without network access, within nine minutes.

    python -m benchmarks.gpu_drill pack build/drill/pack.zip      # here: icons, captions and encoder in one file
    benchmarks/gpu_drill.sh build/drill/pack.zip OUT              # there; --rehearse: on any CPU, a thousandth of the steps

The shell script runs the stages train, finish and speed, or those in DRILL_STAGES, each a process with its own time limit, and
beside the training the stage compile, which fills torch's cache for the stage speed. Results are written to OUT as soon as they
exist, so that a deadline loses only later ones:

    plan-generator.json    speed of the first steps, and the number of steps derived from it
    generator/   the averaged weights, in half precision, at every checkpoint; finished/: with the finisher
    curve-generator.jsonl  loss and speed, and the error of the predicted image by t; grid-generator.png: samples of the average
    samples/     samples of training and held-out captions and of PROMPTS, before and after the finisher
    fast/        with the stage distill: the student that samples with four network evaluations; fast-finished/: with its finisher
    speed.json   compiled bfloat16 compared with float32, and training steps compared with peers
    log          what was printed

The same command resumes; checkpoints are in build/gpu-drill until then.
"""

import argparse
import json
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image

from benchmarks.networks import CHANNELS, TEXT_WIDTH, DiffusersUNet, TorchcfmUNet, captions, is_installed, laptop_unet
from benchmarks.packing import STRIP, PackedEncoder, pack, strip, unpack
from benchmarks.train_step import training_step
from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import read_json, write_bytes, write_json
from flowmodel.images.save import save_image
from flowmodel.model.checkpoint import FINAL, Checkpoint, read_header, read_tensors, save_checkpoint
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import WEIGHTS_FILE, export_weights
from flowmodel.nets import build_network
from flowmodel.recipes import Recipe, load_recipe, parse_recipe
from flowmodel.recipes.split import Split
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.text.encoders import replaced_encoder
from flowmodel.training.finishing import finish
from flowmodel.training.loop import train, training_folder
from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart
from flowmodel.training.prediction_error import ByTime, by_name
from flowmodel.training.trajectories import teacher_prompts

SOURCES = PROJECT_ROOT / "data" / "pretrained" / "sources.yaml"
WORK = PROJECT_ROOT / "build" / "gpu-drill"
LARGEST_PACK = 64 * 2**20  # bytes
SETTINGS = (
    "training.init_from=pretrained",
    "training.precision=auto",
    "training.validation.every=0",
    "training.log_every=50",
    "finisher.start=0.5",
    "finisher.drawings=1",
    "finisher.init_from=pretrained",
    "finisher.learning_rate=1e-3",
    "finisher.steps=1500",
    "finisher.batch_size=64",
)
_OF_STUDENT = (
    "training.distillation.trajectories=16384",
    "training.batch_size=512",
    "training.learning_rate=1e-3",
    "training.warmup_steps=100",
    "training.precision=auto",
    "training.compile=off",  # every step continues a different number of the student's own states
    "training.validation.every=0",
    "training.log_every=20",
    "finisher.steps=1500",
    "finisher.batch_size=64",
)
NOUNS = ("apple", "car", "heart", "umbrella", "house", "fish", "flower", "hat", "star", "key")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple")
PROMPTS = tuple(f"{color} {noun}, noto style" for noun in NOUNS for color in COLORS)
_SPLITS = (Split.TRAIN, Split.VALIDATION, Split.UNSEEN_CONCEPT, Split.UNSEEN_STYLE)
_TRIAL_STEPS, _TRIAL_STEPS_OF_STUDENT = 80, 12  # a student's step has several evaluations, and took 0.6 s on an H200
_TRIAL_LOGS = 4  # the first one includes compilation
_SHAPE = ("channels", "blocks", "scale")  # of a finisher
_CHECKPOINTS = 8
_RESERVE = 30.0  # seconds of the stage train for checkpoints and grids; compiled code of the trial is reused
_SUSTAINED = 0.9  # speed of a training relative to that of its trial; an H200 had 0.87 and 0.96
_REHEARSED_STEPS = 6  # a thousandth of the steps of an H200 in six minutes
_FEW = 6  # icons of each split
_SPEED_BATCH, _SPEED_SECONDS = 256, 2.0


@dataclass(frozen=True)
class Drill:
    """The input of a stage.

    Attributes:
        recipe: without the number of steps.
        distilled: the recipe of its student, likewise.
        prompts: prompts to sample besides captions of the data set.
        out: folder of the results; `work` is the folder of temporary files.
    """

    recipe: Recipe
    distilled: Recipe
    prompts: tuple[str, ...]
    dataset: IconDataset
    encoder: PackedEncoder
    out: Path
    work: Path
    rehearse: bool

    @classmethod
    def open(cls, packed: Path, out: Path, work: Path, rehearse: bool) -> "Drill":
        """Unpack missing files. A rehearsal uses few icons, small batches and a short finisher."""
        if not zipfile.is_zipfile(packed):
            raise FlowmodelError(f"{packed}: no pack; make one with python -m benchmarks.gpu_drill pack {packed}")
        with zipfile.ZipFile(packed) as file:
            settings = json.loads(file.read("drill.json"))
        values, prompts = settings["recipe"], tuple(settings["prompts"])
        device = DevicePolicy.choose(values["training"]["device"]).device
        dataset, encoder = unpack(packed, Store(work), device)
        say(f"unpacked {len(dataset.ids):,} icons, and the encoder on {device}")
        if rehearse:
            has_copies = set(dataset.color_captions.table["icon_id"])
            of_splits = (sorted(dataset.ids_of_split(split), key=lambda own: own not in has_copies) for split in _SPLITS)
            ids = [icon_id for of_split in of_splits for icon_id in of_split[:_FEW]]
            few = write_bytes(work / "few.txt", "\n".join(icon_id.partition("/")[2] for icon_id in ids).encode())
            values["data"]["selection"] = str(few)
            values["training"] |= {"batch_size": 8, "log_every": 2}
            values["finisher"] |= {"steps": 4, "batch_size": 4, "drawings": 1}
            prompts = prompts[:_FEW]
        student = settings["distilled"]
        teacher = str(out / "finished" / WEIGHTS_FILE)
        student["data"] = values["data"]
        student["training"] |= {"init_from": teacher}
        student["finisher"] |= {field: values["finisher"][field] for field in _SHAPE} | {"init_from": teacher}
        if rehearse:
            student["training"] |= {"batch_size": 8, "log_every": 2, "distillation": {"trajectories": 2 * _FEW}}
            student["finisher"] |= {"steps": 4, "batch_size": 4}
        recipe, distilled = (parse_recipe(each, where=str(packed)) for each in (values, student))
        return cls(recipe, distilled, prompts, dataset, encoder, out, work, rehearse)


def with_steps(recipe: Recipe, steps: int, **training: Any) -> Recipe:
    """`recipe` with the checkpoints and grids of so many steps."""
    every = max(1, steps // _CHECKPOINTS)
    given = {"steps": steps, "sample_every": every, "checkpoint_every": every} | training
    values = recipe.model_dump(mode="json")
    return parse_recipe(values | {"training": values["training"] | given}, where="drill")


class Recorder(TrainingObserver):
    """Writes intermediate results to `out`, and the weights to its folder `name`."""

    def __init__(self, out: Path, name: str) -> None:
        self.out, self.name = out, name

    def on_start(self, start: TrainingStart) -> None:
        say(f"training {len(start.trained_ids):,} icons, {start.cost}, on {start.policy}, from step {start.first_step}")

    def on_log(self, step: int, values: dict[str, float]) -> None:
        self._append({"step": step} | values)
        say(f"step {step}, loss {values['loss']:.4f}, {values['images_per_second']:,.0f} images/s")

    def on_prediction_error(self, step: int, errors: dict[Split, ByTime]) -> None:
        self._append({"step": step} | by_name(errors))

    def on_grid(self, step: int, grid: Image.Image) -> None:
        save_image(grid, self.out / f"grid-{self.name}.png")

    def on_checkpoint(self, step: int, path: Path) -> None:
        """The current average as a model for sampling."""
        header = read_header(path)
        average = {f"ema.{name}": tensor for name, tensor in read_tensors(path, "ema0.").items()}
        width = header.recipe["training"]["ema_widths"][0]
        saved = save_checkpoint(path.with_name("average.safetensors"), average, replace(header, ema=width))
        export_weights(saved, self.out / self.name)

    def on_end(self, result: TrainingResult) -> None:
        export_weights(result.checkpoint, self.out / self.name)
        say(f"trained {result.steps} steps, of which this call took {result.seconds:.0f} s")

    def _append(self, row: dict[str, float]) -> None:
        with (self.out / f"curve-{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class _Speeds(TrainingObserver):
    def __init__(self) -> None:
        self.images_per_second: list[float] = []

    def on_log(self, step: int, values: dict[str, float]) -> None:
        self.images_per_second.append(values["images_per_second"])


def train_stage(drill: Drill, seconds: float) -> None:
    """Train as many steps as fit into the remaining `seconds`; the learning rate decays over them."""
    _train(drill, drill.recipe, "generator", seconds)


def distill_stage(drill: Drill, seconds: float) -> None:
    """Distill the finished generator to a few network evaluations within `seconds`, and train the student's finisher."""
    _train(drill, drill.distilled, "fast", seconds)
    if not (drill.out / "fast" / WEIGHTS_FILE).exists():
        raise FlowmodelError("the time ended before the student's first checkpoint; give the stage more of it (DRILL_ALL)")
    _finish(drill, drill.distilled, "fast", "fast-finished")


def _train(drill: Drill, recipe: Recipe, name: str, seconds: float) -> None:
    plan = drill.out / f"plan-{name}.json"
    if not plan.exists():
        speed = _SUSTAINED * _measured_speed(drill, recipe)
        left = seconds - time.monotonic() + BEGAN - _RESERVE
        steps = _REHEARSED_STEPS if drill.rehearse else max(1, round(left * speed / recipe.training.batch_size))
        write_json(plan, {"images_per_second": speed, "seconds": left, "steps": steps})
        say(f"{speed:,.0f} images/s: {steps:,} steps in {left:.0f} s")
    timed = with_steps(recipe, read_json(plan)["steps"])
    folder = training_folder(Store(drill.work), timed, drill.dataset)
    try:
        train(timed, drill.dataset, folder, [Recorder(drill.out, name)])
    except Resumable as cut:
        say(f"{cut}; what is trained until then is exported")


def _measured_speed(drill: Drill, recipe: Recipe) -> float:
    """Images per second, from a discarded training of a few steps."""
    steps = 4 if drill.rehearse else _TRIAL_STEPS
    if recipe.training.distillation.trajectories:  # some suffice here, because drawing them is not measured
        steps = min(steps, _TRIAL_STEPS_OF_STUDENT)
        few = recipe.training.distillation.model_copy(update={"trajectories": recipe.training.batch_size})
        recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"distillation": few})})
    timed, speeds = with_steps(recipe, steps, log_every=steps // _TRIAL_LOGS), _Speeds()
    folder = drill.work / "trial"
    shutil.rmtree(folder, ignore_errors=True)
    train(timed, drill.dataset, folder, [speeds])
    shutil.rmtree(folder)
    return median(speeds.images_per_second[1:])


def finish_stage(drill: Drill) -> None:
    """Make samples, train the finisher, and finish the samples."""
    generator = Generator.load(drill.out / "generator" / WEIGHTS_FILE, drill.recipe.training.device)
    texts = dict(_texts(drill))
    write_json(drill.out / "samples" / "texts.json", texts)
    drawn = {group: generator.sample(own, batch_size=512, finish=False) for group, own in texts.items()}
    _write_samples(drill.out, "drawn", drawn)
    say("drew the samples")
    finisher = Generator.load(_finish(drill, drill.recipe, "generator", "finished"), drill.recipe.training.device)
    _write_samples(drill.out, "finished", {group: finisher.finish(drawn_N4HW) for group, drawn_N4HW in drawn.items()})
    say("finished the samples")


def _finish(drill: Drill, recipe: Recipe, name: str, finished_name: str) -> Path:
    """Train the finisher of the weights in the folder `name`; returns the file with both."""
    # Compiling a finisher takes as long as training it.
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"compile": "off"})})
    folder = drill.work / finished_name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint.open(Path(shutil.copy(drill.out / name / WEIGHTS_FILE, folder / FINAL)))
    finished = finish(recipe, checkpoint, drill.dataset, log=say)
    export_weights(finished.checkpoint, drill.out / finished_name)
    return drill.out / finished_name / WEIGHTS_FILE


def _texts(drill: Drill) -> Iterator[tuple[str, list[str]]]:
    """Name and captions of each group: captions with style of icons across a split, and the prompts."""
    table = drill.dataset.captions.table
    names = table[table["template"] == "name_style"]
    text_of = dict(zip(names["icon_id"], names["text"], strict=True))
    for split in _SPLITS:
        if ids := drill.dataset.ids_of_split(split, drill.recipe.data):
            yield split.value, [text_of[icon_id] for icon_id in ids[:: -(-len(ids) // STRIP)]]
    yield "prompts", list(drill.prompts)


def _write_samples(out: Path, name: str, images: dict[str, torch.Tensor]) -> None:
    for group, rgba_N4HW in images.items():
        write_bytes(out / "samples" / f"{group}-{name}.webp", strip(rgba_N4HW.numpy()))


def speed_stage(out: Path, device: str, rehearse: bool, compile_only: bool = False) -> None:
    """The error of bfloat16 against float32, and training steps of our networks and the peers', all plain ones first.

    Compiling all of them takes several minutes, so the script does that with `compile_only` in a second process during the
    training. Nothing is measured then, and the measurement finds the compiled code in the cache of torch. Measurements that once
    crashed a driver come last, because everything after such an error in the same process fails.
    """
    found: dict[str, Any] = {}

    def note(name: str, measure: Callable[[], float]) -> None:
        try:
            value = measure()
            found[name] = "is compiled" if compile_only else value
        except Exception as error:  # any error; the next one is still measured
            found[name] = f"failed: {error}".splitlines()[0]
        if not compile_only:
            write_json(out / "speed.json", found)
        say(f"{name}: {found[name]}")

    batch, seconds = (2, 0.1) if rehearse else (_SPEED_BATCH, 0.0 if compile_only else _SPEED_SECONDS)
    policy = DevicePolicy.choose(device)
    weights = Checkpoint.open(out / "generator" / WEIGHTS_FILE)
    size = weights.recipe.data.size

    def own() -> torch.nn.Module:
        network = build_network(weights.recipe.network, TEXT_WIDTH, CHANNELS)
        network.load_state_dict(weights.tensors("ema."))
        return network

    peers = {
        "diffusers UNet2DConditionModel": ("diffusers", lambda: DiffusersUNet(size)),
        "torchcfm UNetModel": ("torchcfm", lambda: TorchcfmUNet(size)),
    }
    installed = {name: build for name, (package, build) in peers.items() if is_installed(package)}
    networks: dict[str, Callable[[], torch.nn.Module]] = {"this drill's": own} | installed | {"laptop": laptop_unet}
    plain, compiled_too = () if compile_only else (False,), (True,) if policy.compile else ()
    for compiled in (*plain, *compiled_too):
        chosen = replace(policy, compile=compiled)
        words = f"bfloat16 against float32, relative, {chosen}"
        note(words, lambda chosen=chosen: _parity(own().eval(), chosen, size, batch))  # type: ignore[misc]
        for name, build in networks.items():
            words = f"images/s, {name}, {chosen}"
            note(words, lambda build=build, chosen=chosen: _images_per_second(build(), chosen, size, batch, seconds))  # type: ignore[misc]


@torch.no_grad()
def _parity(network: torch.nn.Module, policy: DevicePolicy, size: int, batch: int) -> float:
    """Norm of the network output's error in the policy's precision, as a fraction of its norm in float32."""
    network = network.to(policy.device, memory_format=policy.memory_format)  # type: ignore[call-overload]
    torch.manual_seed(0)
    x_BCHW = torch.randn(batch, CHANNELS, size, size).to(policy.device).contiguous(memory_format=policy.memory_format)
    t_B, text = torch.rand(batch).to(policy.device), captions(batch, policy.device)
    exact_BCHW = network(x_BCHW, t_B, text)
    with torch.autocast(policy.device, dtype=torch.bfloat16):
        forward = torch.compile(network) if policy.compile else network
        rounded_BCHW = forward(x_BCHW, t_B, text).float()
    return float((rounded_BCHW - exact_BCHW).norm() / exact_BCHW.norm())


def _images_per_second(network: torch.nn.Module, policy: DevicePolicy, size: int, batch: int, seconds: float) -> float:
    step, steps = training_step(network, policy, size, batch), 0
    for _ in range(3):
        step()
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or not steps:
        step()
        steps += 1
    return steps * batch / passed


def pack_drill(out: Path, sources: Path, settings: Sequence[str]) -> None:
    """Prepare the icons and pack them, with the recipe and PROMPTS.

    Raises FlowmodelError when a source can't be read, or the pack is too large.
    """
    from flowmodel.data.prepare import prepare  # imported here, because the machine of the other stages lacks its dependencies

    recipe = load_recipe("pretrained", [*SETTINGS, *settings])
    dataset = prepare(recipe, Store.from_environment(), sources, log=say)
    student = load_recipe("few_steps", _OF_STUDENT)
    student = student.model_copy(update={"data": recipe.data, "network": recipe.network})
    out.parent.mkdir(parents=True, exist_ok=True)
    pack(dataset, out, [*PROMPTS, *teacher_prompts(student, dataset)])
    recipes = {"recipe": recipe.model_dump(mode="json"), "distilled": student.model_dump(mode="json")}
    with zipfile.ZipFile(out, "a") as file:
        file.writestr("drill.json", json.dumps({**recipes, "prompts": PROMPTS}))
    size = out.stat().st_size
    say(f"{out}: {len(dataset.ids):,} icons in {size / 2**20:.1f} MiB")
    if size > LARGEST_PACK:
        raise FlowmodelError(f"{out}: larger than {LARGEST_PACK / 2**20:.0f} MiB; give fewer sources, or smaller images")


BEGAN = time.monotonic()


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="prepare icons and pack them")
    packing.add_argument("pack", type=Path, metavar="FILE")
    packing.add_argument("--sources", type=Path, default=SOURCES)
    packing.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="in place of the recipe's")
    for name in ("train", "finish", "distill", "compile", "speed"):
        stage = commands.add_parser(name, help="a stage, as benchmarks/gpu_drill.sh runs it")
        stage.add_argument("pack", type=Path)
        stage.add_argument("out", type=Path)
        stage.add_argument("--work", type=Path, default=WORK)
        stage.add_argument("--rehearse", action="store_true")
        stage.add_argument("--seconds", type=float, default=330.0, help="of the stages train and distill")
    options = parser.parse_args(arguments)
    try:
        if options.command == "pack":
            pack_drill(options.pack, options.sources, options.set)
        elif options.command in ("compile", "speed"):
            speed_stage(options.out, "auto", options.rehearse, compile_only=options.command == "compile")
        else:
            options.out.mkdir(parents=True, exist_ok=True)
            drill = Drill.open(options.pack, options.out, options.work, options.rehearse)
            with replaced_encoder(drill.encoder):
                if options.command == "train":
                    train_stage(drill, options.seconds)
                elif options.command == "distill":
                    distill_stage(drill, options.seconds)
                else:
                    finish_stage(drill)
    except FlowmodelError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
