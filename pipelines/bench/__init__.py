"""Every table and plot of docs/benchmarks, each made by one module: `measure` gives figures, `write` lays them out."""
