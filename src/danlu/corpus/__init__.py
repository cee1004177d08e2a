"""Where text comes from: files, the Python library, the Hugging Face hub, the toy language. Cleaned, split, counted."""
