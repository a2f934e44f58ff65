"""The style sheet of the monitoring report: one text, light and dark, for wide and narrow screens and for paper.

It names no font that has to be fetched and no picture. Pairs of text and ground keep a contrast of 4.5 (WCAG 2.2, AA).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["COLOURS", "STYLE", "STYLE_SOURCE"]

#: Colours by name: the light one, the dark one.
COLOURS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ground": ("#f4f5f8", "#0f1318"),
        "card": ("#ffffff", "#181d24"),
        "ink": ("#1b212b", "#e8ecf1"),
        "soft": ("#566172", "#a5afbd"),
        "rule": ("#e0e4ea", "#2b333d"),
        "grid": ("#eceff3", "#242b34"),
        "now": ("#1d5fd1", "#74abff"),
        "now-tint": ("#d9e6fb", "#22385c"),
        "was": ("#6b7686", "#98a3b2"),
        "was-tint": ("#d3d9e1", "#3c4653"),
        "passed": ("#13723a", "#63d192"),
        "passed-tint": ("#e3f4e9", "#15301f"),
        "inconclusive": ("#8a5800", "#edb953"),
        "inconclusive-tint": ("#fcf1d9", "#352910"),
        "failed": ("#b8212b", "#ff8b8b"),
        "failed-tint": ("#fde8e8", "#40191c"),
        "error": ("#7529a3", "#d5a3f7"),
        "error-tint": ("#f4e8fb", "#311a40"),
    }
)

_RULES = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);
 font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,nav ul,footer{max-width:1040px;margin:0 auto;padding:0 20px}
h1,h2,h3,p,ul,ol,dl,dd,figure{margin:0;padding:0}
h1{font-size:30px;line-height:1.2;letter-spacing:-.015em;text-wrap:balance}
h2{font-size:20px;line-height:1.3;letter-spacing:-.01em}
h3{font-size:15px;line-height:1.4}
p,li{overflow-wrap:anywhere}
a{color:var(--now)}
code{font:.92em ui-monospace,"SF Mono",Menlo,Consolas,monospace;background:var(--ground);border:1px solid var(--rule);
 border-radius:4px;padding:1px 5px;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--now);outline-offset:2px;border-radius:4px}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.soft{color:var(--soft)}
.small{font-size:13px}
nav{background:var(--card);border-bottom:1px solid var(--rule);position:sticky;top:0;z-index:1}
nav ul{display:flex;gap:4px 18px;list-style:none;overflow-x:auto;padding-top:9px;padding-bottom:9px;font-size:13.5px}
nav li{white-space:nowrap;overflow-wrap:normal}
nav a{color:var(--soft);text-decoration:none}
nav a:hover{color:var(--now);text-decoration:underline}
section,header{scroll-margin-top:52px}
section{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:24px;margin:16px 0}
section>p,section>h3,section>figure,section>.scroll,section>details,section>.legend,section>.cards,section>ul,
section>.sides{margin-top:14px}
section>h3{margin-top:30px}
section>h2+h3{margin-top:14px}
section>h3+p{margin-top:4px}
section>h2+p{margin-top:4px}
.verdict{border-radius:14px;padding:26px 28px;margin:20px 0 16px;
 display:grid;grid-template-columns:auto 1fr;gap:6px 20px}
.verdict .mark{width:54px;height:54px}
.verdict .over{font-size:13.5px;font-weight:600;overflow-wrap:anywhere}
.verdict .lead{grid-column:2;font-size:15.5px;max-width:88ch}
.verdict .lead p+p{margin-top:4px}
.verdict ul{list-style:none}
.passed{--tone:var(--passed);--tint:var(--passed-tint)}
.inconclusive{--tone:var(--inconclusive);--tint:var(--inconclusive-tint)}
.failed{--tone:var(--failed);--tint:var(--failed-tint)}
.error{--tone:var(--error);--tint:var(--error-tint)}
.verdict{background:var(--tint);border:1px solid var(--tone)}
.verdict .over,.verdict h1{color:var(--tone)}
.mark{fill:none;stroke:var(--tone);stroke-width:2;stroke-linecap:round;stroke-linejoin:round;flex:none}
.mark circle{fill:var(--tone);stroke:none}
.mark path{stroke:var(--tint)}
.badge{display:inline-flex;align-items:center;gap:5px;background:var(--tint);color:var(--tone);border-radius:99px;
 padding:2px 10px 2px 4px;font-size:12.5px;font-weight:600;white-space:nowrap}
.badge .mark{width:16px;height:16px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:12px 24px;margin:0 4px 4px}
.facts dt,.tile dt{color:var(--soft);font-size:12.5px}
.facts dd{overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:16px 0}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:14px 18px}
.tile dd:first-of-type{font-size:25px;white-space:nowrap;line-height:1.35;font-weight:600;letter-spacing:-.01em}
.tile dd+dd{font-size:13px;color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(268px,1fr));gap:14px}
.cards>*{border:1px solid var(--rule);border-radius:10px;padding:14px 16px;min-width:0}
.card-head{display:flex;justify-content:space-between;gap:8px;align-items:start}
.card-head h3{min-width:0;overflow-wrap:anywhere}
.ask{border-top:3px solid var(--edge,var(--tone))!important}
.ask.explains{--edge:var(--was-tint)}
.ask p{margin-top:6px;font-size:13.5px}
.ask p:first-of-type{display:flex;flex-wrap:wrap;align-items:center;gap:8px}
.advice{padding-left:1.3em}
.advice li{margin:6px 0;max-width:80ch}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;color:var(--soft)}
.legend li{display:flex;align-items:center;gap:7px}
.legend svg{width:26px;height:12px;flex:none}
figure>figcaption{font-weight:600;margin-bottom:2px}
figure+figure{margin-top:18px}
svg{display:block;max-width:100%}
.chart{width:100%;height:auto;overflow:visible}
.square{max-width:440px}
.narrow{display:none}
.sides{display:grid;grid-template-columns:minmax(260px,440px) minmax(0,1fr);gap:28px;align-items:start}
text{font-family:inherit;font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}
.histogram{width:100%;height:auto;margin-top:8px}
.histogram text{font-size:11px}
.note{font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
.grid{stroke:var(--grid)}
.axis{stroke:var(--was);stroke-width:1}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.now{stroke:var(--now)}
.line.reference{stroke:var(--was);stroke-dasharray:5 4}
.line.alone{stroke-width:0}
.line.now.alone,.dot.now{fill:var(--now)}
.line.reference.alone{fill:var(--was)}
.dot.faint{fill:var(--was)}
.dots{fill:none;stroke-width:4;stroke-linecap:round}
.dots.faint{stroke:var(--was);opacity:.8}
.dot.alarm{fill:var(--failed)}
.band{fill:var(--now-tint);opacity:.75}
.edge{fill:none;stroke:var(--now);stroke-width:.8;opacity:.6}
.edge.alone{opacity:0}
.level,.moment{stroke-width:1.4}
.level.alarm{stroke:var(--failed);stroke-dasharray:6 4}
.level.zero,.level.naive{stroke:var(--was);stroke-dasharray:2 3;stroke-width:1}
.moment.alarm{stroke:var(--failed)}
.moment.release{stroke:var(--was)}
.moment.naive{stroke:var(--inconclusive);stroke-dasharray:3 3}
.note.alarm{fill:var(--failed)}
.note.zero,.note.release{fill:var(--soft)}
.note.naive{fill:var(--inconclusive)}
.bar-whole{fill:var(--was-tint)}
.bar-part{fill:var(--now)}
.was{fill:var(--was-tint);stroke:var(--was);stroke-width:.7}
.is{fill:var(--now);fill-opacity:.22;stroke:var(--now);stroke-width:1.7;stroke-linejoin:round}
.spark{width:96px;min-width:96px;height:24px}
.spark .is{stroke-width:1.3}
.interval{width:180px;min-width:180px;height:22px}
.span{stroke-width:3;stroke-linecap:round}
.span.now{stroke:var(--now)}
.span.alarm{stroke:var(--failed)}
.hit{fill:transparent}
.hit:hover{fill:var(--now);fill-opacity:.1}
.scroll{overflow-x:auto;position:relative}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:7px 12px 7px 0;border-bottom:1px solid var(--rule);vertical-align:top}
thead th{color:var(--soft);font-size:12.5px;font-weight:600;white-space:nowrap;vertical-align:bottom}
tbody th{font-weight:600;overflow-wrap:anywhere;min-width:9em;max-width:26em}
tbody tr:last-child>*{border-bottom:0}
th.n,td.n{text-align:right;white-space:nowrap}
th.n{min-width:0}
tbody th.name{min-width:min(15em,46vw)}
td.reason{min-width:16em;overflow-wrap:anywhere}
td.figures{color:var(--soft);font-size:12.5px;min-width:12em;max-width:22em;overflow-wrap:anywhere}
td.tight{white-space:nowrap}
tr>td.tight svg{margin:0}
details{border-top:1px solid var(--rule);padding-top:10px}
.cards details{margin-top:8px;padding-top:6px;font-size:13px}
summary{cursor:pointer;color:var(--now);font-size:13.5px;font-weight:600;width:fit-content}
details>*+*{margin-top:10px}
.reading{columns:2;column-gap:36px}
.reading div{break-inside:avoid;margin-bottom:14px}
.reading dt{font-weight:600}
.reading dd{color:var(--soft);font-size:14px}
footer{color:var(--soft);font-size:12.5px;padding-top:6px;padding-bottom:34px;overflow-wrap:anywhere}
@media (max-width:700px){
 body{font-size:15px}
 main,nav ul,footer{padding-left:12px;padding-right:12px}
 h1{font-size:23px}
 section{padding:18px 14px;border-radius:10px}
 .verdict{padding:18px 16px;gap:4px 12px}
 .verdict .mark{width:36px;height:36px}
 .verdict .badge .mark{width:16px;height:16px}
 .verdict .lead{grid-column:1/-1;font-size:15px;margin-top:6px}
 .tiles{grid-template-columns:1fr 1fr;gap:10px}
 .tile:last-child:nth-child(odd){grid-column:1/-1}
 .tile{padding:12px 14px}
 .tile dd:first-of-type{font-size:21px}
 .facts{grid-template-columns:1fr 1fr;gap:10px 16px}
 .sides{grid-template-columns:1fr}
 .reading{columns:1}
 .wide{display:none}
 .narrow{display:block}
}
@media print{
 @page{margin:14mm}
 body{background:none;font-size:12px}
 nav{display:none}
 main,footer{max-width:none;padding:0}
 section,.tile{border-color:var(--rule);break-inside:auto}
 figure,.cards>*,tr,.tile,.verdict,h2{break-inside:avoid}
 h2,h3,thead{break-after:avoid}
 .legend,section>p{break-after:avoid}
 .screen{display:none}
 .scroll{overflow:visible}
 .band,.was,.is,.bar-whole,.bar-part,.badge,.verdict,.dot,.mark circle{
  -webkit-print-color-adjust:exact;print-color-adjust:exact}
 details::details-content{content-visibility:visible;height:auto}
 summary{color:var(--soft);list-style:none}
}
"""


def _compact(rules: str) -> str:
    """The text without what only its writers need; it is hashed as it stands in the page."""
    return re.sub(r"\s*([{};])\s*", r"\1", " ".join(rules.split()))


def _variables(place: int) -> str:
    return ";".join(f"--{name}:{both[place]}" for name, both in COLOURS.items())


#: The style sheet. Paper is light whatever the screen is.
STYLE = (
    f":root{{{_variables(0)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(1)}}}}}"
    f"{_compact(_RULES)}"
)
#: What a Content-Security-Policy calls it: this very text and no other style.
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
