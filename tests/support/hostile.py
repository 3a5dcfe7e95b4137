"""What strangers may write into ids, reasons, paths, names and messages, to act where a plan is read."""

from __future__ import annotations

STRINGS = (
    "`rm -rf`|<b>@everyone</b>",
    "``` @octocat #1 ```",
    "```\n</details>\n# free",
    "~~~~",
    "\x1b[31mred\x1b]0;title\x07",
    "abc\u202egpj.exe\u2066",
    "two\nlines\r\n# and\u2028more",
    "::set-output name=x::y",
    "\n::error::x",
    "##[command]echo",
    "zero\u200bwidth\ufeff",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "[1]: https://evil.example",
    "https://evil.example www.evil.example a@b.example <https://e.example>",
    "<script>alert(1)</script>",
    "<!-- --> --> @someone &#64;someone &lt;b&gt;",
    "</code></summary></details><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "fixes #123 GH-12 o/r#5 deadbeefdeadbeef !12 &3 ~label %1 $1",
    'g/p!12 g/p&3 p~bug p%1 p$1 p> ~"two words" %"v 1"',
    "[vulnerability:1] [epic:3] [feature_flag:1] [wiki_page:home] +s",
    "^alert#1 *iteration:1 {+ added +} [- gone -] %{project_path}",
    "[[_TOC_]] [TOC] [[home|x]] `#ff0000` PRIV-4711 GL-12",
    ">>>",
    "::include{file=secrets.md}",
    "/assign @all",
    ":tada: :+1:",
    "/close",
    "$`x`$ $$y$$ \\(z\\)",
    "[^1] [x] *b* _i_ **b** ~~s~~",
    "a\\|b\\",
    "  spaces  ",
    "| --- | --- |",
    "# heading",
    "> [!NOTE]",
    "- item",
    "1. first",
    "@@ -1 +1 @@",
    "--- a/x",
    "… and 5 more",
    "[bold red]markup[/]",
    "{{ 7 * 7 }} ${{ secrets.X }} %0A%0D",
    "😀" * 16,
    "שלום",
    "e\u0301té",
)


def ids() -> list[str]:
    """Those of them that fit an id."""
    return [each for each in STRINGS if len(each.encode()) <= 64]
