"""Code that every kernel runs once, silently, before the first cell.

It gives `_kruise_local.use()` and `.restore()` to the executions that bring environment
variables, and adds the representations of E2B's template: JSON for dictionaries and lists,
`e2b/data` for pandas data frames, and `e2b/chart` for matplotlib figures if the package
`e2b_charts` is installed.
"""

SETUP = """
def _kruise_setup():
    import json, os, sys, types
    from IPython.core.formatters import BaseFormatter
    from traitlets import ObjectName, Unicode

    module = types.ModuleType("_kruise_local")
    saved = {}

    def use(variables):
        for name, value in variables.items():
            saved[name] = os.environ.get(name)
            os.environ[name] = value

    def restore():
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        saved.clear()

    module.use, module.restore = use, restore
    sys.modules["_kruise_local"] = module

    def formatter(mime, method):
        class Formatter(BaseFormatter):
            format_type = Unicode(mime)
            print_method = ObjectName(method)
            _return_type = dict

            def pop(self, kind, default=None):
                # Keep every printer: matplotlib's inline backend removes those for figures.
                return default

        shell = get_ipython()
        made = Formatter(parent=shell.display_formatter)
        shell.display_formatter.formatters[mime] = made
        return made

    def data(frame):
        try:
            return {
                str(name): json.loads(column.to_json(orient="values", date_format="iso"))
                for name, column in frame.items()
            }
        except Exception:
            return None

    def chart(figure):
        try:
            from e2b_charts import chart_figure_to_dict

            return chart_figure_to_dict(figure)
        except Exception:
            return None

    def plain(value):
        try:
            # JSON has no NaN and no infinity.
            return json.loads(json.dumps(value), parse_constant=lambda name: None)
        except Exception:
            return None

    as_json = get_ipython().display_formatter.formatters["application/json"]
    for kind in (dict, list):
        as_json.for_type(kind, plain)

    frames = formatter("e2b/data", "_repr_e2b_data_")
    # pandas 3 moved the class's home.
    for home in ("pandas.core.frame", "pandas"):
        frames.for_type_by_name(home, "DataFrame", data)
    formatter("e2b/chart", "_repr_e2b_chart_").for_type_by_name(
        "matplotlib.figure", "Figure", chart
    )


_kruise_setup()
del _kruise_setup
"""
