"""Flags that are made from settings, and the way from flags to settings.

A command names the settings that have a flag of their own; type and help of the flag come from
the field that it sets. All other settings are reached with `--set`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

import typer

from mlc_cli.commands import screen
from mlc_cli.settings.base import Settings
from mlc_cli.settings.fields import doc_of, field_at
from mlc_cli.settings.resolve import as_yaml, gather, validate

SettingsT = TypeVar("SettingsT", bound=Settings)

MODEL, DATA, RESULT, SETTINGS = "Model", "Data", "Result", "Settings"

Preset = Annotated[
    str | None,
    typer.Option("--preset", "-p", help="Preset to start from (see mlc presets).",
                 rich_help_panel=SETTINGS),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.", rich_help_panel=RESULT)]
_COMMON: dict[str, Any] = {
    "config": Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML file with settings, laid over a preset if any.",
                     rich_help_panel=SETTINGS),
    ],
    "assignments": Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", rich_help_panel=SETTINGS,
                     help="Any other setting, as section.key=value. May be repeated; `mlc settings`"
                     " lists them."),
    ],
    "show": Annotated[
        bool | None,
        typer.Option("--show-settings", help="Print the settings as put together, and stop.",
                     rich_help_panel=SETTINGS),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Flag:
    """A flag or an argument that sets one setting.

    Attributes:
        key: Dotted key of the setting.
        panel: Under which heading the help shows it.
        names: As they are typed; by default the last part of the key.
        metavar: What stands for its value in the help.
        argument: It has a position in place of a name.
    """

    key: str
    panel: str = SETTINGS
    names: tuple[str, ...] = ()
    metavar: str | None = None
    argument: bool = False

    @property
    def parameter(self) -> str:
        """Name of the parameter."""
        return self.key.replace(".", "_")

    def annotation(self, model: type[Settings]) -> Any:
        """What Typer makes the flag from."""
        found = field_at(model, self.key)
        assert found is not None, self.key
        text = doc_of(found).replace("`", "").replace("[", "\\[").partition(". ")[0]
        kind = _kind(found.annotation)
        choices = "|".join(map(str, get_args(kind))) if get_origin(kind) is Literal else None
        said, metavar = text.rstrip(".") + ".", self.metavar or choices
        if self.argument:
            value = list[str] if kind is tuple else str
            argument = typer.Argument(show_default=False, help=said, metavar=metavar)
            return Annotated[value | None, argument]
        names = self.names or (f"--{self.key.rpartition('.')[2].replace('_', '-')}",)
        value = kind if kind in (bool, int, float) else list[str] if kind in (tuple, dict) else str
        option = typer.Option(*names, help=said, metavar=metavar, rich_help_panel=self.panel)
        return Annotated[value | None, option]


def _kind(annotation: Any) -> Any:
    """The type that a flag is read as: what a `Literal` or a union with text has is text."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (tuple, dict, Literal) or not arguments:
        return annotation if origin is Literal else origin or annotation
    kinds = [_kind(argument) for argument in arguments if argument is not type(None)]
    return kinds[0] if len(kinds) == 1 else str


RUN, CHECKPOINT = Flag("run", MODEL), Flag("checkpoint", MODEL)
LISTS = "FILE|coco|voc|nus-wide|openimages"
LIKE = (Flag("like", MODEL, metavar="PRESET"), Flag("weight_classes", MODEL, metavar=LISTS))
ANY_MODEL = (RUN, CHECKPOINT, *LIKE)
IMAGES = (Flag("data", DATA), Flag("split", DATA))
DEVICE = Flag("device", RESULT)
VIEWS = (Flag("tta", MODEL), Flag("tiles", MODEL, metavar="N"))
SLICES = Flag("slices", RESULT, metavar="COLUMN|folder|camera|size")
OUTPUT = Flag("output", RESULT, ("--output", "-o"))
WHERE = (DEVICE, OUTPUT)
BATCH_SIZE = Flag("batch_size", MODEL, ("--batch-size", "-b"))
STRICT = Flag("strict", RESULT)
OFFLINE = Flag("download.offline", DATA, ("--offline",))
DOWNLOADS = (Flag("download.trust", DATA, ("--trust-download",)), OFFLINE)


@dataclass(frozen=True)
class Given(Generic[SettingsT]):
    """What was typed.

    Attributes:
        flags: Values by dotted key; `None` means not given.
        config: YAML file below the flags.
        assignments: Texts `section.key=value` above them.
    """

    model: type[SettingsT]
    command: str
    flags: dict[str, Any]
    config: Path | None = None
    assignments: list[str] = field(default_factory=list)
    show: bool = False

    def settings(self, preset: str | None = None) -> SettingsT:
        """The settings, laid over a preset and validated.

        Raises:
            MlcError: A layer cannot be read, or settings are wrong.
            typer.Exit: They were shown.
        """
        content = gather(
            self.model,
            self.command,
            preset=preset,
            config=self.config,
            flags=self.flags,
            assignments=self.assignments,
        )
        settings = validate(self.model, content)
        if self.show:
            screen.result(as_yaml(settings))
            raise typer.Exit
        return settings


def settings_command(
    model: type[SettingsT], command: str, *flags: Flag
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function `run(given, *, ...)`.

    Its keyword arguments become flags as Typer makes them; `flags`, `--config`, `--set` and
    `--show-settings` are added and come together as `given`.
    """

    def decorate(run: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(run).parameters.values()

        def callback(**values: Any) -> None:
            typed = {flag.key: values.pop(flag.parameter) for flag in flags}
            typed = {key: None if value == [] else value for key, value in typed.items()}
            config, assignments, show = (values.pop(name) for name in _COMMON)
            run(Given(model, command, typed, config, assignments or [], bool(show)), **values)

        keyword = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY, default=None)
        parameters = [
            *(keyword(flag.parameter, annotation=flag.annotation(model)) for flag in flags),
            *own,
            *(keyword(name, annotation=kind) for name, kind in _COMMON.items()),
        ]
        callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        callback.__annotations__ = {one.name: one.annotation for one in parameters}
        callback.__doc__ = run.__doc__
        callback.__name__ = run.__name__
        return callback

    return decorate
