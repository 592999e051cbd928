/** Calls the API; `undefined` when nobody is logged in. */
export async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (response.status === 401) return undefined;
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}`);
  return response.status === 204 ? {} : response.json();
}
