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
.headline small{display:block;font-size:.82rem;margin-top:.15rem}
.headline span,.basis,figcaption,caption,footer,dt{color:#5c6670;font-size:.88rem}
.basis{margin:.4rem 0 0}
.plain{margin:.9rem 0 .2rem}
aside{margin:1.5rem 0 0;padding:.2rem 1.1rem .5rem;border-left:4px solid #b45f06;background:#fdf6ec}
aside h2{font-size:1rem;margin:.7rem 0 .2rem}
aside ul{margin:.2rem 0 .5rem;padding-left:1.1rem}
figure{margin:1rem 0 1.6rem}
figure>b{display:block;font-size:.92rem;font-weight:600;margin-bottom:.3rem}
.keyed{display:flex;flex-wrap:wrap;gap:0 1.6rem;align-items:flex-start}
.keyed figure{flex:3 1 24rem}
.key{flex:1 1 13rem;list-style:none;margin:1.2rem 0;padding:0;font-size:.92rem}
.key li{display:flex;align-items:center;gap:.6rem;padding:.16rem 0}
.key i{flex:none;width:1.5rem;height:.95rem;border:1px solid #5c6670}
.key span{margin-left:auto;color:#5c6670;font-variant-numeric:tabular-nums;white-space:nowrap}
.strip{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(17rem,100%),1fr));gap:0 1.2rem}
.strip figure{margin:.5rem 0 .7rem}
.strip img{width:100%}
pre{background:#f6f7f8;border:1px solid #e4e7e9;border-radius:6px;padding:.7rem .9rem;font-size:.85rem;
white-space:pre-wrap;overflow-wrap:anywhere}
code{font-size:.92em;background:#f6f7f8;padding:0 .2em}
img{display:block;max-width:min(100%,34rem);height:auto}
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
.key i,.matrix td,aside,pre{-webkit-print-color-adjust:exact;print-color-adjust:exact}
@media (max-width:34rem){main{padding:1.2rem .9rem 2rem}h1{font-size:1.6rem}dl{grid-template-columns:1fr}
dd{margin-bottom:.5rem}th,td{padding:.3rem .4rem}
.headline{grid-template-columns:1fr 1fr}.headline div{border:0;padding:.7rem .8rem}.headline b{font-size:1.45rem}}
@media print{@page{margin:1.6cm}body{font-size:10.5pt}main{max-width:none;padding:0}
h2,h3,caption,h2+p,h2+p+p,.basis{break-after:avoid}h2{margin-top:1.4rem}figure{margin:.5rem 0}
figure,tr,aside,p,dl,pre,.headline,.keyed,.scroll{break-inside:avoid}.keyed img,section>figure img{max-height:10.5cm}
.scroll{overflow:visible}table{font-size:8.5pt}
th,td{padding:.2rem .35rem}.matrix td{min-width:0}.keyed figure{flex-basis:10cm}
.strip{grid-template-columns:repeat(3,1fr)}}
"""
