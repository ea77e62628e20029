"""What is patched: one module for each thing, the engine that does it, the route that URLs take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kruise_autopatch.patches.engine import Point
    from kruise_autopatch.settings import CurrentSettings


def points_for(package: str, settings: CurrentSettings) -> Sequence[Point]:
    """The patch points of a top-level package of the SDK, such as ``e2b_desktop``.

    :param settings: asked whenever a client is built
    """
    import kruise_autopatch.patches.sandbox_urls as sandbox_urls
    import kruise_autopatch.patches.traffic as traffic

    if package == "e2b":
        import kruise_autopatch.patches.configurations as configurations
        import kruise_autopatch.patches.connections as connections
        import kruise_autopatch.patches.key_check as key_check
        import kruise_autopatch.patches.templates as templates
        import kruise_autopatch.patches.v1_routes as v1_routes

        return (
            *configurations.points(settings),
            *sandbox_urls.POINTS,
            *v1_routes.POINTS,
            *key_check.points(settings),
            *templates.POINTS,
            *connections.POINTS,
            *traffic.points(settings),
        )
    if package == "e2b_code_interpreter":
        import kruise_autopatch.patches.code_interpreter as code_interpreter

        own: Sequence[Point] = (
            *code_interpreter.POINTS,
            *traffic.CODE_INTERPRETER_POINTS,
        )
    else:
        import kruise_autopatch.patches.desktop as desktop

        own = desktop.POINTS
    # Once more those of e2b whose methods a class of this package may override.
    return (*(point for point in sandbox_urls.POINTS if point.overrides), *own)
