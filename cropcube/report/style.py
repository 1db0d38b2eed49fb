"""How the report looks: system fonts, one column, fit for a screen and for paper."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;background:#fff;color:#1b1f23;
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.2rem 1.4rem 3rem}
h1{font-size:2rem;line-height:1.2;margin:0}
h2{font-size:1.25rem;margin:2.4rem 0 .6rem}
h3{font-size:1.02rem;margin:1.8rem 0 .4rem}
p{margin:.4rem 0 .8rem;max-width:46rem}
.sub{color:#5c6670;font-size:1.05rem;margin:.25rem 0 1.4rem}
.headline{display:grid;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr));
border:1px solid #d8dcdf;border-radius:8px}
.headline div{padding:.9rem 1.1rem;border-left:1px solid #d8dcdf}
.headline div:first-child{border-left:0}
.headline b{display:block;font-size:1.75rem;line-height:1.15;font-variant-numeric:tabular-nums}
.headline span,.basis,figcaption,caption,footer,dt{color:#5c6670;font-size:.88rem}
.basis{margin:.6rem 0 0}
aside{margin:1.5rem 0 0;padding:.2rem 1.1rem .5rem;border-left:4px solid #b45f06;background:#fdf6ec}
aside h2{font-size:1rem;margin:.7rem 0 .2rem}
aside ul{margin:.2rem 0 .5rem;padding-left:1.1rem}
figure{margin:1rem 0 1.6rem}
img{display:block;max-width:100%;height:auto}
figcaption{margin-top:.4rem;max-width:46rem}
.scroll{overflow-x:auto;margin:.9rem 0 1.4rem}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{text-align:left;caption-side:top;padding-bottom:.4rem}
th,td{padding:.34rem .7rem;text-align:right;border-bottom:1px solid #e4e7e9;font-weight:400}
thead th{font-weight:600;vertical-align:bottom;border-bottom:1.5px solid #1b1f23}
th[scope=row],thead th:first-child{text-align:left;padding-left:0}
.matrix td{border:1px solid #fff;min-width:3.4rem;text-align:center}
.matrix td.zero{color:#b3bac0!important}
.matrix thead th{border:0;text-align:center;font-weight:400;max-width:6rem;padding:.3rem .25rem}
.matrix thead td{border:0}
.matrix tbody th{border:0;padding-right:.9rem;white-space:nowrap}
dl{display:grid;grid-template-columns:minmax(9rem,15rem) 1fr;gap:.3rem 1rem;margin:.6rem 0}
dd{margin:0;overflow-wrap:anywhere;font-size:.92rem}
footer{margin-top:3rem;padding-top:.9rem;border-top:1px solid #d8dcdf}
@media (max-width:34rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
@media print{main{max-width:none;padding:0}section,figure{break-inside:avoid}}
"""
