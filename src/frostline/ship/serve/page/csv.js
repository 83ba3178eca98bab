// Results as a table that spreadsheets open. A cell that one of them would run as a formula gets a quote in front.
const safe = (value) => (/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
const cell = (value) => {
  const text = typeof value === "number" ? String(value) : safe(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export function table(items, coverage) {
  const sets = items.some((item) => item.result?.sets);
  const head = ["path", "label", "probability", ...(sets ? [`set ${coverage}`] : []), "error"];
  const lines = items.map(({ name, result }) => [
    name, result?.label, result?.probability, ...(sets ? [(result?.sets?.[String(coverage)] ?? []).join(" | ")] : []),
    result?.error,
  ]);
  return [head, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
