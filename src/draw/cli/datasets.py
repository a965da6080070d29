"""draw data list, prepare and check."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from draw.cli.options import words_apart_from, write_result
from draw.config import DataConfig
from draw.errors import DrawError

if TYPE_CHECKING:
    from draw.data import Report


def data_list(
    cache_dir: str | None = None, json: Annotated[str | None, arg(metavar="FILE")] = None
) -> None:
    """List the data sets known by name, and which are ready to use.

    Args:
        cache_dir: folder of decoded images; by default ~/.cache/draw.
        json: also write the list as JSON to this file (- for standard output).
    """
    from draw.data import describe
    from draw.tables import print_data_sets

    listed = describe(cache_dir)
    with words_apart_from(json):
        print_data_sets(listed)
    write_result(json, [dataclasses.asdict(one) for one in listed])


def data_prepare(
    name: Positional[str] = "images",
    data: Annotated[DataConfig, arg(name="data")] = DataConfig(),  # noqa: B008
    json: Annotated[str | None, arg(metavar="FILE")] = None,
) -> None:
    """Fetch and decode a data set now, so that training starts at once and needs no network.

    Args:
        name: a data set that draw data list names, or images with --data.path for your own.
        data: how the images are made to fit.
        json: also write the report as JSON to this file (- for standard output).
    """
    from draw.data import prepare

    _report(prepare(dataclasses.replace(data, name=name)), json)


def data_check(
    name: Positional[str] = "images",
    data: Annotated[DataConfig, arg(name="data")] = DataConfig(),  # noqa: B008
    json: Annotated[str | None, arg(metavar="FILE")] = None,
) -> None:
    """Verify a data set: checksums, sizes, modes, splits, test images that are also in training.

    Args:
        name: a data set that draw data list names, or images with --data.path for your own.
        data: how the images are made to fit.
        json: also write the report as JSON to this file (- for standard output).
    """
    from draw.data import check

    report = check(dataclasses.replace(data, name=name))
    _report(report, json)
    if report.problems:
        raise DrawError("; ".join(report.problems))


def _report(report: "Report", json_file: str | None) -> None:
    from draw.tables import print_data_report

    with words_apart_from(json_file):
        print_data_report(report)
    write_result(json_file, dataclasses.asdict(report))
