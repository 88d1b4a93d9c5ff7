"""The style sheet of the drawings, for light and dark pages.

What a drawing uses again by ``<use>`` is matched by selectors of one class only.
"""

from __future__ import annotations

_SHEET = """
.kd{--kd-ink:#1c2024;--kd-soft:#5c6570;--kd-face:#f1f4f7;--kd-edge:#b6bec8;--kd-line:#7d8792;
--kd-gone:#a3352b;--kd-goneface:#fdf3f1;--kd-into:#0b6b45;--kd-intoface:#dcf3e6;--kd-kept:#8a5300;--kd-keptface:#fdefd3;
--kd-newface:#e3ecfd;--kd-new:#2456b3;color:var(--kd-ink);font:13px/1.45 system-ui,sans-serif}
@media(prefers-color-scheme:dark){.kd{--kd-ink:#e8ebee;--kd-soft:#a4adb8;--kd-face:#272c32;
--kd-edge:#515b66;--kd-line:#8b96a2;--kd-gone:#f0938a;--kd-goneface:#33211f;--kd-into:#74d6a6;--kd-intoface:#173b2b;
--kd-kept:#f0bd6a;--kd-keptface:#41310f;--kd-newface:#1e2f52;--kd-new:#9dbdfa}}
.kd details{border-top:1px solid var(--kd-edge)}
.kd summary{padding:7px 2px;cursor:pointer;overflow-wrap:anywhere}
.kd summary:focus-visible,.kd div:focus-visible{outline:2px solid var(--kd-new);outline-offset:1px}
.kd em{font-style:normal;color:var(--kd-soft);margin-right:6px}
.kd i{color:var(--kd-soft)}
.kd summary span{display:inline-block;color:var(--kd-into);background:var(--kd-intoface);
border-radius:9px;padding:0 8px;margin:1px 2px 1px 0}
.kd summary .kdk{color:var(--kd-kept);background:var(--kd-keptface)}
.kd s{display:inline-block;width:48px;height:7px;margin:0 6px;border-radius:4px;
background:var(--kd-edge);overflow:hidden;text-decoration:none;vertical-align:1px}
.kd u{display:block;height:7px;background:var(--kd-line)}
.kd details>div{overflow-x:auto;padding-bottom:10px;display:flex;flex-wrap:wrap;
align-items:flex-start;gap:14px}
.kd svg{display:block;max-width:100%;height:auto}
.kd svg:not(:only-child){border:1px solid var(--kd-edge);box-sizing:border-box}
.kd svg{font:600 12px system-ui,sans-serif;fill:var(--kd-ink);stroke-linejoin:round}
.kdn,.kdf,.kdw,.kdc,.kdi{font-weight:400;font-size:10.5px;fill:var(--kd-soft)}
.kdh{fill:var(--kd-soft)}
.kdi{text-anchor:middle;font-style:italic}
.kdx{text-decoration:line-through;fill:var(--kd-gone)}
.kdz{font-size:10.5px}
.kdf{fill:var(--kd-gone)}
.kdp{font-size:10.5px;fill:var(--kd-into)}
.kdw{fill:var(--kd-kept)}
.kdc{fill:var(--kd-new)}
.kdo{fill:none;stroke:var(--kd-new);stroke-width:1.5}
.kdq{font-size:10.5px;fill:var(--kd-new);stroke:var(--kd-page,Canvas);stroke-width:4px;
paint-order:stroke}
.kde{fill:none;stroke:var(--kd-line);stroke-width:1.3}
.kda{fill:var(--kd-line)}
.kdr{fill:none;stroke:var(--kd-into);stroke-width:1.6;stroke-dasharray:4 3}
.kdb{fill:var(--kd-face);stroke:var(--kd-edge)}
.kdg{fill:var(--kd-goneface);stroke:var(--kd-gone);stroke-dasharray:3 3}
.kdt{fill:var(--kd-intoface);stroke:var(--kd-into)}
.kdk{fill:var(--kd-keptface);stroke:var(--kd-kept)}
.kdm{fill:var(--kd-newface);stroke:var(--kd-new)}
"""
STYLE = _SHEET.replace("\n", "")
"""A style sheet, for what is in an element of the class ``kd``."""
