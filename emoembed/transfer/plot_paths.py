"""A picture of paths: which modules the source, the target or both use."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path as FilePath

from emoembed.encoders.modular import ModularSettings, Path
from emoembed.errors import InputError
from emoembed.features.atomic import write_file
from emoembed.transfer.pathnet import places_of

USES = {(True, True): "shared", (True, False): "source", (False, True): "target", (False, False): "unused"}
"""Whether a source and the target use a module -> the name of this use."""
COLOURS = {"source": "tab:blue", "target": "tab:orange", "shared": "tab:green", "unused": "0.9"}


def plot_paths(paths: Mapping[str, Path], settings: ModularSettings, file: str | FilePath) -> FilePath:
    """Draw layers by modules. The last path is the target; the others are sources.

    Args:
        paths: corpus -> path.
        settings: the number of layers and modules.
        file: the file of the picture: .png, .svg or .pdf.

    Raises:
        InputError: there are no paths, or the name ends with an unknown format.
        OutputError: the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    file = FilePath(file)
    if not paths or file.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"a picture of paths needs paths and a name that ends with .png, .svg or .pdf; given {file}")
    *sources, target = paths
    of_target = places_of(paths[target])
    of_sources = {place for source in sources for place in places_of(paths[source])}
    figure = Figure(figsize=(1.0 + 0.6 * settings.modules, 1.5 + 0.6 * settings.layers))
    axes = figure.subplots()
    for layer in range(settings.layers):
        for module in range(settings.modules):
            in_target, in_source = (layer, module) in of_target, (layer, module) in of_sources
            use = (
                "shared" if in_target and in_source else "target" if in_target else "source" if in_source else "unused"
            )
            axes.scatter(module, layer, s=300, color=COLOURS[use])
    axes.set(
        xticks=range(settings.modules), yticks=range(settings.layers), xlabel="module", ylabel="layer", title=target
    )
    names = {"source": ", ".join(sources) or "no source", "target": target, "shared": "shared"}
    axes.legend(
        handles=[Patch(color=COLOURS[use], label=name) for use, name in names.items()],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, format=file.suffix[1:].lower(), dpi=120)
    write_file(file, picture.getvalue())
    return file
