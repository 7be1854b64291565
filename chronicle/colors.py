"""The portal's accent, a blue of eleven weights, in the form unfold takes.

On white and on unfold's dark ground alike, the weights that it uses for text (600 and 500) reach 4.5:1.
"""

PRIMARY_COLORS = {
    "50": "oklch(97% .014 254.604)",
    "100": "oklch(93.2% .032 255.585)",
    "200": "oklch(88.2% .059 254.128)",
    "300": "oklch(80.9% .105 251.813)",
    "400": "oklch(70.7% .165 254.624)",
    "500": "oklch(65.5% .18 258)",
    "600": "oklch(54.6% .2 260)",
    "700": "oklch(48.8% .2 262)",
    "800": "oklch(42.4% .18 264)",
    "900": "oklch(37.9% .146 265.522)",
    "950": "oklch(28.2% .091 267.935)",
}
