"""Edits of a module's text that change nothing it does, and one that does."""

import ast


def comment(text):
    return f"# a comment\n{text}\n# another"


def docstring(text):
    """Every docstring says something else, and functions without have one; so does what stands below a constant."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            new = ast.Expr(ast.Constant("Says something else."))
            node.body = [new, *node.body[1:]] if ast.get_docstring(node) is not None else [new, *node.body]
    return ast.unparse(ast.fix_missing_locations(tree))


def formatting(text):
    """As another formatter would have it, imports in another order."""
    tree = ast.parse(text)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    ahead = [node for node in imports if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    rest = [node for node in tree.body if node not in imports]
    first = rest[:1] if ast.get_docstring(tree) is not None else []
    others = [node for node in reversed(imports) if node not in ahead]
    tree.body = [*first, *ahead, *others, *rest[len(first) :]]
    return ast.unparse(tree)


def annotation(text):
    """Other annotations of all functions' arguments and results, and the import that they need."""
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        function.returns = ast.Name("Another")
        others = [item for item in (function.args.vararg, function.args.kwarg) if item]
        for item in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs, *others]:
            item.annotation = ast.Constant("Another[int]")
    if functions:
        start = ast.get_docstring(tree) is not None
        start += any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
        tree.body.insert(start, ast.parse("from elsewhere import Another").body[0])
    return ast.unparse(ast.fix_missing_locations(tree))


def line(text):
    """A statement more."""
    return f"{text}\nEDITED = True\n"


WITHOUT_MEANING = (comment, docstring, formatting, annotation)
