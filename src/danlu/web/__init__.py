"""The served app: an OpenAI-compatible API at /v1, the pages, and their endpoints under /api. See README.md."""
