"""danlu: plan, pretrain, align and evaluate large models, forecast before and judged after."""

__version__ = "0.1.0"
