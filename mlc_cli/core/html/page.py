"""The frame of every HTML file: one self-contained page, light and dark, screen and paper."""

import html
from importlib.resources import files
from string import Template

_FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark;
  --ink: light-dark(#1c2330, #dde3ec); --soft: light-dark(#5b6675, #98a4b5);
  --paper: light-dark(#ffffff, #14181f); --card: light-dark(#f5f7fa, #1d232d);
  --line: light-dark(#dbe1e8, #333c49); --accent: light-dark(#1862b5, #6fb1ff);
  --good: light-dark(#1a7f4b, #58c98c); --bad: light-dark(#b3362b, #ff8a7d); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; }
p, li { max-width: 46rem; } .soft { color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
figure { margin: 0; } img, svg { max-width: 100%; height: auto; }
@media print { body { max-width: none; font-size: 11px; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } .noprint { display: none; } }
$style
</style>
</head>
<body>
$body
<script>
$script
</script>
</body>
</html>
""")


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page; nothing in it is fetched from elsewhere.

    Args:
        title: Plain text.
        body: HTML, in which all text of others is escaped (see `text`).
        style: Further CSS. `--ink`, `--soft`, `--paper`, `--card`, `--line`, `--accent`, `--good`
            and `--bad` are the colours.
        script: JavaScript.
    """
    return _FRAME.substitute(title=text(title), body=body, style=style, script=script)


def asset(package: str, name: str) -> str:
    """Text of a style sheet or script that lies beside the modules of a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def text(value: object) -> str:
    """Text for HTML, also inside quoted attributes."""
    return html.escape(str(value), quote=True)
