"""The OpenAI-compatible API: what OpenAI's own client, LangChain, Open WebUI and lm-eval need of it."""
