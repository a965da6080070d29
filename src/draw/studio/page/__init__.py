"""The page, laid out with Gradio; one file a tab."""
