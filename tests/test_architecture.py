"""The packages stand in one order, imports point one way, and what must be light imports nothing heavy."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import frostline
from docs import make_modules

ROOT = Path(frostline.__file__).parent
PACKAGES = (
    *("errors", "registry", "processors", "blas", "events", "atomic", "ordinary_file", "quantities", "options"),
    *("data", "net", "inference", "features", "train", "judge", "ship", "run", "workflows"),
    *("scale", "studio", "classifier", "testing", "cli"),
)
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "sklearn",
    "pandas",
    "pyarrow",
    "datasets",
    "scipy",
    "transformers",
    "peft",
    "accelerate",
    "openvino",
}
CALLED_OTHERWISE = {"pillow": "PIL", "scikit-learn": "sklearn", "pyyaml": "yaml", "pillow-jxl-plugin": "pillow_jxl"}
COME_WITH = {
    **{"aiohttp": "fsspec", "h11": "uvicorn", "markupsafe": "jinja2"},
    **{"pydantic": "fastapi", "starlette": "fastapi"},
}
"""Packages that another one always brings."""
LEFT_LARGE = {
    # commands: their options are half of them
    *("cli/check.py: check", "cli/predict.py: predict", "cli/serve.py: serve"),
    # one sequence of steps, each a line or two: cut up, they would pass the same ten values from hand to hand
    *("run/resolve.py: resolve", "workflows/evaluate.py: evaluate", "workflows/report_data.py: _page"),
    "judge/metrics.py: report_multilabel",
}
LIGHT = [*sorted((ROOT / "data").rglob("*.py")), *sorted((ROOT / "cli").rglob("*.py")), ROOT / "__init__.py"]
LIGHT += [ROOT / "ship" / name for name in ("model_info.py", "predictor.py", "open_predictor.py")]


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_packages_import_only_packages_above() -> None:
    wrong = []
    for path, tree in modules():
        if path.name in ("__init__.py", "__main__.py") and path.parent == ROOT:
            continue  # the front door names every package, lazily
        here = PACKAGES.index(package(path))
        for name in imported(ast.walk(tree)):
            parts = name.split(".")
            if parts[0] == "frostline" and len(parts) > 1 and parts[1] in PACKAGES and PACKAGES.index(parts[1]) > here:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_own_package_is_imported_at_the_top_except_at_the_edges() -> None:
    wrong = []
    for path, tree in modules():
        if package(path) in ("cli", "__init__", "__main__"):
            continue
        top = set(map(id, tree.body)) | {
            id(n) for node in tree.body if isinstance(node, ast.If) for n in ast.walk(node)
        }
        inner = [
            node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in top
        ]
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in imported(inner) if name.startswith("frostline")]
    assert not wrong


def test_modules_of_a_package_import_only_those_listed_before_them() -> None:
    page = (ROOT.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    lists = dict(re.findall(r"^- `(\w+)/`: (.*)$", page, re.M))
    assert set(lists) == set(make_modules.PACKAGES)
    for package_name, listed in lists.items():
        order = listed.split(", ")
        imports = make_modules.modules_of(package_name)
        assert set(order) == set(imports), f"python docs/make_modules.py ({package_name}/)"
        for name, needed in imports.items():
            late = [other for other in needed if order.index(other) > order.index(name)]
            assert not late, f"{package_name}/{name} imports {late}, which stand behind it"


def test_folders_of_data_import_one_way() -> None:
    """As docs/architecture.md says: pictures, places, tables, folders."""
    order = ("pictures", "places", "tables", "folders")
    assert set(order) == {path.name for path in (ROOT / "data").iterdir() if path.is_dir() and path.name[0] != "_"}
    for name, needed in make_modules.modules_of("data").items():
        later = order[order.index(name.split(".")[0]) + 1 :] if "." in name else ()
        assert not {other for other in needed if other.split(".")[0] in later}, name


def test_modules_and_functions_are_of_a_size_to_be_read() -> None:
    large = {}
    for path, tree in modules():
        if len(path.read_text(encoding="utf-8").splitlines()) > 400:
            large[f"{path.relative_to(ROOT)}"] = "lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                large[f"{path.relative_to(ROOT)}: {node.name}"] = "lines"
    assert set(large) == LEFT_LARGE, (set(large) - LEFT_LARGE, "no longer large:", LEFT_LARGE - set(large))


def test_there_are_no_import_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path, tree in modules():
        name = ".".join(("frostline", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        graph[name] = set(imported(top))
    known = set(graph)
    edges = {
        name: {m for target in targets for m in (target, target.rpartition(".")[0]) if m in known and m != name}
        for name, targets in graph.items()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name in done:
            return
        for target in edges[name]:
            if not name.startswith(f"{target}."):
                visit(target, (*above, name))
        done.add(name)

    for name in edges:
        visit(name, ())


def test_light_modules_name_nothing_heavy_at_import_time() -> None:
    wrong = []
    for path in LIGHT:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in imported(top) if name.split(".")[0] in HEAVY]
    assert not wrong


def test_help_and_runtime_load_nothing_heavy() -> None:
    code = (
        "import sys, frostline, frostline.cli, frostline.data.sources\n"
        "import frostline.ship.open_predictor, frostline.inference.openvino_engine, frostline.workflows.evaluate\n"
        f"print(*sorted(set(sys.modules) & {HEAVY!r}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def reached(command: str) -> set[str]:
    """What a command imports, walked through our own modules: at their top, and anywhere in the command's own file."""
    seen: set[str] = set()
    waiting = [f"frostline.cli.{command}"]
    while waiting:
        name = waiting.pop()
        if name in seen or name in ("frostline", "frostline.cli"):
            continue  # these name every part, and import it when it is asked for
        seen.add(name)
        path = ROOT.joinpath(*name.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not name.startswith("frostline") or not path.is_file():
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for target in imported(ast.walk(tree) if name == f"frostline.cli.{command}" else _at_import(tree)):
            parts = target.split(".")
            waiting += [".".join(parts[: n + 1]) for n in range(len(parts))]
    return seen


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when a module is imported: not in functions, and not under TYPE_CHECKING."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not typing_only:
            waiting += list(ast.iter_child_nodes(node))


LIGHT_COMMANDS = ("predict", "evaluate", "serve", "merge", "models", "report", "compare", "store")


@pytest.mark.parametrize("command", LIGHT_COMMANDS)
def test_a_light_command_reaches_no_torch(command: str) -> None:
    assert not reached(command) & {"torch", "torchvision", "timm", "transformers", "peft", "accelerate"}


def test_the_walk_finds_torch_where_it_is() -> None:
    assert "torch" in reached("check")
    assert "torch" in reached("fit")


def test_every_public_function_is_typed_and_documented() -> None:
    wrong = []
    for path, tree in modules():
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            typed = node.returns is not None and all(argument.annotation for argument in arguments)
            if not typed or not ast.get_docstring(node):
                wrong.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not wrong


def test_no_utils() -> None:
    assert not [path for path, _ in modules() if path.stem in ("utils", "helpers", "misc", "common")]


def test_what_is_imported_is_declared() -> None:
    """A package that is here because another happens to bring it is gone with its next version."""
    project = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    required = [one for group in groups for one in group]
    names = {re.split(r"[^\w.-]", one)[0].lower() for one in required}
    declared = {CALLED_OTHERWISE.get(name, name.replace("-", "_")) for name in names} | {"frostline"}
    found = {name.split(".")[0] for _, tree in modules() for name in imported(ast.walk(tree))} - sys.stdlib_module_names
    assert {name for name in found if COME_WITH.get(name, name) not in declared} == set()
