// /openapi.json for people.
import { made } from "./show.js";

const at = (id) => document.getElementById(id);

function described(list, name, text) {
  const term = made("dt");
  term.append(made("code", "", name));
  list.append(term, made("dd", "", text));
}

function operation(path, method, said) {
  const card = made("article", "card"), title = made("h2");
  const code = made("code");
  code.append(made("span", "method", method.toUpperCase()), ` ${path}`);
  title.append(code);
  card.append(title);
  for (const paragraph of (said.description ?? said.summary ?? "").split(/\n\n+/)) card.append(made("p", "", paragraph));
  const parts = made("dl");
  for (const { name, description, schema } of said.parameters ?? []) {
    const fallback = schema?.default === undefined ? "" : ` Default: ${schema.default}.`;
    described(parts, `?${name}=`, `${description ?? schema?.type ?? ""}${fallback}`);
  }
  if (said.requestBody) described(parts, "body", Object.keys(said.requestBody.content).join(", or "));
  for (const [status, { description }] of Object.entries(said.responses)) described(parts, status, description);
  card.append(parts);
  return card;
}

at("example").textContent =
  `curl -F file=@PICTURE '${new URL("predict?top=3", location)}'\n` +
  `curl --data-binary @PICTURE -H 'Content-Type: image/jpeg' ${new URL("predict", location)}`;
const { paths } = await (await fetch("openapi.json")).json();
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, said] of Object.entries(methods)) at("paths").append(operation(path, method, said));
}
