"""Demand for compute, its supply and its price over the years, and claims about them checked."""
