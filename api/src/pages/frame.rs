//! What every page has around its content.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --bad: #c0392b; --good: #27864a; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; }
header { display: flex; gap: 1rem; align-items: baseline; border-bottom: 1px solid var(--line); }
header a { font-weight: 700; font-size: 1.2rem; text-decoration: none; color: inherit; }
h1 { font-size: 1.35rem; } h2 { font-size: 1.1rem; margin-top: 1.6rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
         vertical-align: top; }
th { font-weight: 600; } .whole { white-space: nowrap; } td.n, th.n { text-align: right; }
code, pre { font: 13px/1.4 ui-monospace, monospace; }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; }
.answer { border-left: 4px solid var(--bad); padding: .2rem 0 .2rem .9rem; margin: 1rem 0; }
.bar { display: inline-block; height: .7rem; min-width: 1px; background: var(--bad);
       vertical-align: middle; }
.track { display: inline-block; width: 6rem; background: var(--good); vertical-align: middle;
         line-height: 0; }
.history { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
.history text { fill: currentColor; opacity: .75; } .history .right { text-anchor: end; }
.history .middle { text-anchor: middle; } .history .axis { stroke: currentColor; opacity: .3; }
.history .share { fill: #3b6ea8; } .history .line { fill: none; stroke: #3b6ea8; stroke-width: 1.5; }
.history .dot { fill: #3b6ea8; } .history circle.bad { fill: var(--bad); }
.history circle.good { fill: var(--good); } .history circle.unknown { fill: #c9962b; }
span.bad { color: var(--bad); } span.good { color: var(--good); } span.unknown { color: #c9962b; }
.soft { opacity: .7; } dl { display: grid; grid-template-columns: 9rem 1fr; gap: .2rem 1rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
";

/// A page of the service.
pub(super) fn page(title: &str, content: &Markup) -> Markup {
    whole(
        title,
        &html! {
            header { a href="/" { "Kiln" } span class="soft" { "kernel builds and bisections" } }
            main { (content) }
        },
    )
}

/// A whole page, with nothing around its content.
pub(super) fn whole(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Kiln" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (content)
            }
        }
    }
}
