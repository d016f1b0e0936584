"""Benchmarks: each module runs alone as `python -m benchmarks.NAME [--json]` and reports through
`benchmarks.report`.
"""
