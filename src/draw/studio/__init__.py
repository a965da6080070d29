"""The studio: a local web page that shows what a model does; `draw studio` opens it.

What is computed is in this package, without Gradio: models, pictures and numbers in, plain data
out. `draw.studio.page` lays it out and needs the extra `draw[studio]`.
"""
