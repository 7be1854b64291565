// Instants as whole microseconds since 1970, which a number holds exactly until the year 2255.

export function instant(microseconds) {
  const milliseconds = Math.floor(microseconds / 1000);
  const rest = String(microseconds - milliseconds * 1000).padStart(3, "0");
  return new Date(milliseconds).toISOString().replace("Z", `${rest}Z`);
}
