"""The currencies the ledger knows and how many decimals each has.

Source: ISO 4217 list one (maintained by SIX), active currencies with a minor unit; the codes without one
(XAU, XTS, XXX, …) are left out. Further ones are registered at start-up from CHRONICLE_CURRENCIES.
"""

from __future__ import annotations

import re

from ledger.domain.errors import UnknownCurrency

DECIMALS_MAX = 18  # an ether has 18; more would leave no whole units below AMOUNT_MINOR_MAX
_CODE = re.compile(r"[A-Z][A-Z0-9]{2,9}")

_CODES_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
          CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
          GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR
          LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD
          PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC
          SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW
          ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_decimals_by_code = {code: decimals for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()}


def register(code: str, decimals: int) -> None:
    """Add a currency that ISO 4217 does not list. Raises ValueError for a malformed one."""
    if not _CODE.fullmatch(code) or not 0 <= decimals <= DECIMALS_MAX:
        raise ValueError(f"{code}:{decimals} is not a currency: 3 to 10 capitals or digits, 0 to {DECIMALS_MAX}")
    if _decimals_by_code.get(code, decimals) != decimals:
        raise ValueError(f"{code} already has {_decimals_by_code[code]} decimals")
    _decimals_by_code[code] = decimals


def decimals_of(code: str) -> int:
    """Return how many decimals a currency has. Raises UnknownCurrency."""
    try:
        return _decimals_by_code[code]
    except (KeyError, TypeError):
        raise UnknownCurrency(f"{code!r} is not a currency this ledger knows", currency=str(code)[:16]) from None


def codes() -> list[str]:
    return sorted(_decimals_by_code)
