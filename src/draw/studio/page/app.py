"""The whole page: a title, the tabs, and what happens when it is loaded."""

import json
from typing import Any

import gradio as gr

from draw.studio.address import restore
from draw.studio.folders import run_folders
from draw.studio.page import classify, explore, generate, insight, parts, reconstruct, runs
from draw.studio.page.parts import Studio

FONTS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
TITLE = """<header class="ds-title">
<svg viewBox="0 0 32 32" aria-hidden="true"><rect x="2" y="2" width="28" height="28" rx="6"/>
<path d="M10 22c1-8 3-12 6-12s-1 9 2 9 3-3 4-6"/>
<rect class="w" x="13" y="6" width="12" height="12"/></svg>
<div><h1>draw studio</h1><p>Watch a neural network draw, one patch at a time</p></div></header>"""


def theme() -> gr.themes.Base:
    """Theme of the page: quiet and neutral with one accent, in fonts of the computer."""
    accent = gr.themes.Color(
        "#eef2ff", "#e0e7ff", "#c7d2fe", "#a5b4fc", "#818cf8", "#4f5fd9", "#4350c4", "#3842a5",
        "#2f3785", "#262c68", "#171b42",
    )  # fmt: skip
    return gr.themes.Base(
        primary_hue=accent,
        secondary_hue=accent,
        neutral_hue=gr.themes.colors.slate,
        font=FONTS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#f7f7f5",
        body_background_fill_dark="#14151a",
        body_text_color="#1d2129",
        body_text_color_dark="#e7e8ec",
        body_text_color_subdued="#565d6b",
        body_text_color_subdued_dark="#a6adba",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c1e25",
        block_border_color="#e3e4e0",
        block_border_color_dark="#30333d",
        block_label_text_color="#3a4150",
        block_label_text_color_dark="#c6cbd6",
        block_title_text_color="#2b3140",
        block_title_text_color_dark="#d6dae2",
        block_info_text_color="#5b6270",
        block_info_text_color_dark="#a6adba",
        block_shadow="none",
        input_border_width="1px",
        button_border_width="1px",
        button_primary_border_color="#4350c4",
        button_primary_border_color_dark="#5766e0",
        input_background_fill="#ffffff",
        input_background_fill_dark="#14151a",
        input_border_color="#cfd2d8",
        input_border_color_dark="#3d414d",
        button_primary_background_fill="#4350c4",
        button_primary_background_fill_hover="#3842a5",
        button_primary_background_fill_dark="#5766e0",
        button_primary_background_fill_hover_dark="#4350c4",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#262932",
        button_secondary_border_color="#cfd2d8",
        button_secondary_border_color_dark="#3d414d",
        slider_color="#4f5fd9",
        slider_color_dark="#818cf8",
    )


def build(studio: Studio) -> gr.Blocks:
    """Build the page; every event of it is private to it."""
    page: gr.Blocks
    with gr.Blocks(title="draw studio", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(TITLE, apply_default_css=False)
        address = gr.HTML("", visible="hidden")
        with gr.Tabs(elem_classes=["ds-tabs"]) as tabs:
            with gr.Tab("Generate", id="Generate") as generate_tab:
                model, about_model, fields = generate.build(studio)
            with gr.Tab("Reconstruct", id="Reconstruct") as reconstruct_tab:
                reconstructing = reconstruct.build(studio)
            with gr.Tab("How it works", id="How it works") as insight_tab:
                explaining = insight.build(studio)
            with gr.Tab("Explore", id="Explore") as explore_tab:
                exploring = explore.build(studio)
            with gr.Tab("Classify", id="Classify") as classify_tab:
                classifying = classify.build(studio)
            with gr.Tab("Runs", id="Runs") as runs_tab:
                chosen_runs = runs.build(studio)
        gr.HTML(
            "<p>Everything is computed on this computer; nothing leaves it. To give a model away, "
            "run <code>draw export MODEL --to FOLDER</code> in a terminal: weights, pictures and a "
            "model card, ready for the Hub; with <code>--onnx</code> the generator as ONNX.</p>",
            elem_classes=["ds-foot"],
        )
        drawing = [(model, about_model), reconstructing, explaining, exploring]
        _one_model(studio, drawing)
        all_tabs = (
            generate_tab, reconstruct_tab, insight_tab, explore_tab, classify_tab, runs_tab,
        )  # fmt: skip
        for tab in all_tabs:
            remember = f"() => DrawStudio.remember({{ tab: {json.dumps(tab.label)} }})"
            tab.select(None, None, None, js=remember, api_visibility="private")
        classifier, about = classifying
        classifier.change(
            parts.safe(lambda name: parts.about(studio, name)), classifier, about,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip

        others = {name: field for name, field in fields.items() if name != "model"}

        def load(text: str | None, *chosen: str | None) -> list[Any]:
            models, rest = chosen[: len(drawing)], chosen[len(drawing) :]
            names = studio.catalogue.names(draws=True)
            link = restore(text, names, [str(tab.label) for tab in all_tabs])
            if link.lacking:
                gr.Warning(link.lacking, title="Not all of this link can be shown", duration=20)
            linked, values = link.values.get("model"), link.values
            return [
                *(
                    gr.update(choices=names, value=linked)
                    if linked
                    else parts.refresh_models(studio, name, draws=True)
                    for name in models
                ),
                parts.refresh_models(studio, rest[0], draws=False),
                *runs.refresh_runs(studio, rest[1], rest[2]),
                *(
                    gr.update(value=values[name]) if name in values else gr.skip()
                    for name in others
                ),
                gr.update(selected=values["tab"]) if "tab" in values else gr.skip(),
            ]

        lists = [*(model for model, _ in drawing), classifier, *chosen_runs]
        page.load(
            parts.safe(load), [address, *lists], [*lists, *others.values(), tabs],
            js="(_, ...chosen) => [location.hash.slice(1), ...chosen]",
            show_progress="hidden", api_visibility="private",
        ).then(
            None, None, None, js="() => DrawStudio.begin('generate-player')",
            api_visibility="private",
        )  # fmt: skip
        runs_tab.select(
            parts.safe(lambda one, other: runs.refresh_runs(studio, one, other)), list(chosen_runs),
            list(chosen_runs), show_progress="hidden", api_visibility="private",
        )  # fmt: skip
    return page


def _one_model(studio: Studio, choices: list[tuple[gr.Dropdown, gr.Markdown]]) -> None:
    """A model chosen in one tab is chosen in all of them."""
    for number, (model, about) in enumerate(choices):
        others = [other for k, (other, _) in enumerate(choices) if k != number]
        model.input(
            None,
            model,
            others,
            js=f"(name) => Array({len(others)}).fill(name)",
            api_visibility="private",
        )
        model.change(
            parts.safe(lambda name: parts.about(studio, name)), model, about,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip


def nothing_at_hand(studio: Studio) -> bool:
    """Say that there is neither a model nor a run to show."""
    return not studio.catalogue.choices() and not run_folders(studio.runs)
