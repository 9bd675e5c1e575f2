"""`[engines]` and `[routers]` against the providers and each other: names, kinds, circles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config.checks import Fault
from gateway.config.engine_table import EngineTable, Plan
from gateway.config.faults import did_you_mean
from gateway.config.locate import KeyPath
from gateway.config.models import GatewayConfig, NamedEngine, RoutedKind, RouterConfig
from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.setup.engine_settings import WrongSettingsError, checked_table
from gateway.setup.router_checks import price_faults, router_faults
from gateway.setup.speech_checks import engine_faults

ALL: frozenset[RoutedKind] = frozenset(("stt", "llm", "tts", "s2s"))
TITLES: dict[RoutedKind, str] = {
    "stt": "recognizer",
    "llm": "language model",
    "tts": "voice",
    "s2s": "speech-to-speech engine",
}


class Routes:
    """What names in engine tables stand for.  Collects what is wrong in `faults`."""

    def __init__(self, config: GatewayConfig, folder: Path) -> None:
        """Check the names.

        Args:
            config: as read.
            folder: relative paths in `[engines]` start here.
        """
        self.faults: list[Fault] = []
        self.engines: dict[str, NamedEngine] = dict(config.engines)
        """With validated settings, as far as they were used or checked."""
        self._routers = config.routers
        self._folder = folder
        self._checked: dict[tuple[RoutedKind, str], EngineTable | None] = {}
        self._names = [*config.routers, *config.engines]
        self._broken = set(self._circular())
        for name, router in config.routers.items():
            self._check_names(name, router)

    def table(self, kind: RoutedKind, table: EngineTable) -> EngineTable | None:
        """Return the table with its plan; None where that cannot be, for which there is a fault.

        Raises:
            WrongSettingsError: the table itself is wrong.
        """
        if table.provider:
            text = f'use = "{table.use}" and a provider: leave one of them out'
            raise WrongSettingsError([(("use",), text)])
        if extra := list(table.rest()):
            text = f"settings of an engine belong in [engines.{table.use}]"
            raise WrongSettingsError([((key,), text) for key in extra])
        if "prices" in table.model_fields_set:
            text = "stand with the engines: [engines.NAME] prices = ..."
            raise WrongSettingsError([(("prices",), text)])
        if table.use not in self._names:
            raise WrongSettingsError([((), self._unknown(kind, table.use))])
        possible = self._possible(table.use)
        if possible and kind not in possible:
            raise WrongSettingsError([((), f"{self._is_a(table.use)}, and {_needs(kind)}")])
        found = self._resolved(kind, table.use)
        if found is None:
            return None
        if found.plan is None:  # an engine without a router: one that tries it alone
            alone = RouterConfig(kind=kind, try_=(table.use,))
            return table.planned(Plan(table.use, alone, {table.use: found}))
        return table.planned(found.plan)

    def check_rest(self) -> None:
        """Check the engines and routers that no agent uses."""
        used = {name for _, name in self._checked}
        for name in self._names:
            if name in used or name in self._broken:
                continue
            kinds = self._possible(name)
            if len(kinds) == 1:
                self._resolved(next(iter(kinds)), name)
            elif name in self.engines and len(kinds) > 1:
                provider = self.engines[name].provider
                known = ", ".join(f'"{kind}"' for kind in sorted(kinds))
                text = f"is missing: {provider} may be {known}, and no agent uses this engine"
                self.faults.append((("engines", name, "kind"), text))

    # --- names ---

    def _check_names(self, name: str, router: RouterConfig) -> None:
        if name in self.engines:
            text = f'there is an engine "{name}" as well: a name is an engine or a router'
            self.faults.append((("routers", name), text))
        for loc, used in _references(router):
            if used not in self._names:
                text = f'there is no engine or router "{used}"{did_you_mean(used, self._names)}'
                self.faults.append((("routers", name, *loc), text))
                self._broken.add(name)
        self.faults.extend((("routers", name, *loc), text) for loc, text in router_faults(router))

    def _circular(self) -> Iterator[str]:
        """Yield routers that lead back to themselves, and report each circle once."""
        reported: set[str] = set()
        for name in self._routers:
            path = self._path_back(name, (name,))
            if path:
                yield name
                if not reported & set(path):
                    text = f"leads back to itself: {' -> '.join(path)}"
                    self.faults.append((("routers", name), text))
                reported |= set(path)
            elif self._meets_circle(name, frozenset()):
                yield name

    def _path_back(self, target: str, path: tuple[str, ...]) -> tuple[str, ...]:
        router = self._routers.get(path[-1])
        for used in router.names if router is not None else ():
            if used == target:
                return (*path, used)
            if used not in path and (found := self._path_back(target, (*path, used))):
                return found
        return ()

    def _meets_circle(self, name: str, above: frozenset[str]) -> bool:
        router = self._routers.get(name)
        if router is None:
            return False
        below = above | {name}
        return any(used in below or self._meets_circle(used, below) for used in router.names)

    def _unknown(self, kind: RoutedKind, name: str) -> str:
        if any(info.name == name for info in registry.available(kind)):
            return f'there is no engine or router "{name}": write {{ provider = "{name}" }}'
        return f'there is no engine or router "{name}"{did_you_mean(name, self._names)}'

    # --- kinds ---

    def _possible(self, name: str) -> frozenset[RoutedKind]:
        """Return what an engine or router may be; empty where that is reported elsewhere."""
        if name in self._broken:
            return frozenset()
        router = self._routers.get(name)
        if router is not None:
            found = frozenset((router.kind,)) if router.kind else ALL
            for used in router.names:
                found &= self._possible(used) or ALL
            return found
        engine = self.engines.get(name)
        if engine is None:
            return frozenset()
        if engine.kind is not None:
            return frozenset((engine.kind,))
        return frozenset(kind for kind in ALL if engine.provider in registry.names(kind))

    def _is_a(self, name: str) -> str:
        kinds = sorted(self._possible(name))
        what = "router" if name in self._routers else "engine"
        return f'{what} "{name}" is a {" or ".join(TITLES[kind] for kind in kinds)}'

    # --- tables ---

    def _resolved(self, kind: RoutedKind, name: str) -> EngineTable | None:
        key = (kind, name)
        if key not in self._checked:
            self._checked[key] = None
            router = self._routers.get(name)
            self._checked[key] = (
                self._engine(kind, name) if router is None else self._router(kind, name, router)
            )
        return self._checked[key]

    def _router(self, kind: RoutedKind, name: str, router: RouterConfig) -> EngineTable | None:
        if name in self._broken:
            return None
        wrong = [used for used in router.names if kind not in (self._possible(used) or {kind})]
        for loc, used in _references(router):
            if used in wrong:
                text = f"{self._is_a(used)}, and {_needs(kind)}"
                self.faults.append((("routers", name, *loc), text))
        if router.kind not in {None, kind}:
            self.faults.append((("routers", name, "kind"), _needs(kind)))
            return None
        for loc, text in router_faults(router, kind):
            self.faults.append((("routers", name, *loc), text))
        members = {used: self._resolved(kind, used) for used in router.names if used not in wrong}
        if wrong or not members or None in members.values():
            return None
        known = {used: table for used, table in members.items() if table is not None}
        return EngineTable(use=name).planned(Plan(name, router, known))

    def _engine(self, kind: RoutedKind, name: str) -> EngineTable | None:
        engine, at = self.engines[name], ("engines", name)
        if engine.use:
            self.faults.append(((*at, "use"), "an engine names a provider: write provider = ..."))
            return None
        try:
            table = checked_table(kind, engine, self._folder, name)
        except ProviderUnavailable as error:
            self.faults.append(((*at, "provider"), error.problem))
            return None
        except WrongSettingsError as error:
            self.faults.extend(((*at, *loc), text) for loc, text in error.faults)
            return None
        self.faults.extend(((*at, *loc[1:]), text) for loc, text in engine_faults(kind, table))
        for loc, text in price_faults(engine.prices, kind):
            self.faults.append(((*at, *loc), text))
        self.engines[name] = table  # type: ignore[assignment]  # of the same class
        return table


def _needs(kind: RoutedKind) -> str:
    return f"a {TITLES[kind]} ({kind}) is needed here"


def _references(router: RouterConfig) -> Iterator[tuple[KeyPath, str]]:
    """Yield every place where a router names an engine."""
    yield from ((("try", index), name) for index, name in enumerate(router.try_))
    yield from ((("split", name), name) for name in router.split)
    yield from ((("when", index, "use"), rule.use) for index, rule in enumerate(router.when))
    if router.cap.then:
        yield ("cap", "then"), router.cap.then
