// Addresses of the admin's pages: a template with KEY in it, and the key as Django's admin spells it.

const SPELT = /[":/_#?;@&=+$,[\]<>%\n\\]/g;

export function address(template, key) {
  const spelt = String(key).replace(SPELT, (sign) => `_${sign.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  return template.replace("KEY", encodeURIComponent(spelt));
}
