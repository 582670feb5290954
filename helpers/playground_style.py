"""How the playground looks: one style sheet, whose rules hold inside the class `nlq` only.

Colours come from JupyterLab's variables where there are any, so a dark theme stays dark; Voila has the same ones, and
elsewhere (Colab) the values beside them hold. Text has a contrast of at least 4.5 to 1, the place that has the focus a
ring of 3 px, and a narrow window wraps instead of scrolling.
"""

SHEET = """<style>
.nlq { --ink: var(--jp-ui-font-color1, #1d2733); --soft: var(--jp-ui-font-color2, #56616f);
  --card: var(--jp-layout-color1, #fff); --shade: var(--jp-layout-color2, #f3f5f8);
  --edge: var(--jp-border-color1, #c3cad4); --accent: #1f5fa8; --link: #1f5fa8; --good: #176b3a; --bad: #b3261e;
  color: var(--ink); max-width: 1120px; width: 100%; overflow: visible; padding: 4px; box-sizing: border-box;
  gap: 10px; }
[data-jp-theme-light="false"] .nlq { --link: #8abaf2; }
.nlq * { box-sizing: border-box; }
.nlq .widget-box { overflow: visible; }
.nlq .widget-hbox { flex-wrap: wrap; gap: 8px 12px; align-items: flex-end; }
.nlq .widget-inline-hbox { flex-direction: column; align-items: stretch; height: auto; margin: 0; width: auto; }
.nlq .widget-inline-hbox > .widget-label { width: auto; text-align: left; font-size: 12px; font-weight: 600;
  line-height: 18px; height: 20px; color: var(--soft); margin: 0; padding: 0; }
.nlq input[type="text"], .nlq textarea, .nlq select { width: 100%; border: 1px solid var(--edge) !important;
  border-radius: 6px; background-color: var(--card); color: var(--ink); font-family: inherit; font-size: 15px;
  line-height: 22px; padding: 7px 10px; height: 38px; flex: none; }
.nlq select { padding-right: 26px; text-overflow: ellipsis; }
.nlq textarea { font-family: var(--jp-code-font-family, ui-monospace, Menlo, monospace); font-size: 13.5px;
  height: auto; min-height: 78px; resize: vertical; }
.nlq .widget-button { height: 38px; width: auto; min-width: 84px; margin: 0; padding: 0 16px; border-radius: 6px;
  border: 1px solid var(--edge); background: var(--card); color: var(--ink); font-family: inherit; font-size: 14px;
  font-weight: 600; box-shadow: none; }
.nlq .widget-button:hover:enabled { background: var(--shade); box-shadow: none; }
.nlq .widget-button.mod-primary { background: var(--accent); border-color: var(--accent); color: #fff; }
.nlq .widget-button.mod-primary:hover:enabled { background: #174a85; color: #fff; }
.nlq .widget-button:disabled { opacity: .45; }
.nlq.nlq.nlq :focus-visible { outline: 3px solid #4c93e0 !important; outline-offset: 2px; }
.nlq .widget-html, .nlq .widget-html-content { height: auto; line-height: 1.45; font-size: 14px; margin: 0;
  width: auto; min-width: 0; overflow: visible; color: inherit; }
.nlq .wide { flex: 1 1 300px; min-width: 0; } .nlq .part { flex: 1 1 130px; min-width: 0; }
.nlq .panels { align-items: stretch; gap: 16px; }
.nlq .panel { flex: 1 1 300px; min-width: 0; gap: 8px; padding: 14px; border: 1px solid var(--edge);
  border-radius: 10px; background: var(--card); }
.nlq .panel > .widget-hbox { align-items: center; }
.nlq h3 { margin: 0; font-size: 14px; line-height: 20px; font-weight: 700; color: inherit; }
.nlq .status p, .nlq .progress p { margin: 0; } .nlq .progress p { color: var(--soft); }
.nlq .fault { border-left: 4px solid var(--bad); padding: 2px 0 2px 10px; }
.nlq .badge { display: inline-block; font-weight: 600; padding: 0 8px; border-radius: 10px; color: #fff; }
.nlq .badge.yes { background: var(--good); } .nlq .badge.no { background: var(--bad); }
.nlq details { margin-top: 4px; } .nlq summary { cursor: pointer; color: var(--soft); }
.nlq pre { margin: 6px 0 0; padding: 8px 10px; border-radius: 6px; background: var(--shade); color: var(--ink);
  white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 var(--jp-code-font-family, ui-monospace, monospace); }
.nlq mark { background: #ffd9d6; color: #7a120c; text-decoration: underline wavy #b3261e; text-underline-offset: 3px;
  border-radius: 2px; padding: 0 1px; }
.nlq .trace b { color: var(--link); } .nlq .trace { max-height: 260px; overflow: auto; }
.nlq .shown { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }
.nlq .shown > * { flex: 1 1 300px; min-width: 0; }
.nlq img.chart { max-width: 100%; background: #fff; border: 1px solid var(--edge); border-radius: 6px; padding: 6px;
  max-height: 420px; object-fit: contain; object-position: left top; }
.nlq .rows { max-height: 360px; overflow: auto; border: 1px solid var(--edge); border-radius: 6px; }
.nlq .rows table { border-collapse: collapse; width: 100%; margin: 0; font-size: 13px; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
.nlq .rows th { position: sticky; top: 0; background: var(--shade); text-align: left; font-weight: 600; }
.nlq .rows th, .nlq .rows td { padding: 5px 10px; border-bottom: 1px solid var(--shade); white-space: nowrap;
  text-align: left; color: var(--ink); max-width: 420px; overflow: hidden; text-overflow: ellipsis; }
.nlq .rows .number { text-align: right; } .nlq .rows td.null { color: var(--soft); font-style: italic; }
.nlq a.csv { color: var(--link); font-weight: 600; white-space: nowrap; }
.nlq .history { margin-top: 6px; gap: 4px; }
.nlq .history .widget-button { width: 100%; min-width: 0; height: 34px; text-align: left; font-weight: 400;
  overflow: hidden; text-overflow: ellipsis; }
.jp-OutputArea-output:has(.nlq) { overflow: visible; }
</style>"""
