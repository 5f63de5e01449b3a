"""The kinds of feature as a person declares them, in YAML or in Python: one file per kind.

Each class only stores its values and checks what can be checked without data. What is learned from data is in
`tfwd.FeatureStatistics`; what is computed is in `tfwd.features.transform`.
"""
