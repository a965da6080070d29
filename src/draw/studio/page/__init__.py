"""The page of the studio, laid out with Gradio; one file a tab."""
