"""The meter's role: object tables shared by a model, profile buffers from templates, the logical device."""
