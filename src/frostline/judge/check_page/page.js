(() => {
  const command = document.querySelector("#command code");
  const boxes = [...document.querySelectorAll(".pick input")];
  const write = () => {
    const names = boxes.filter((box) => box.checked).map((box) => box.value);
    command.textContent = `${command.dataset.start} --drop ${names.join(",")}`;
    command.closest(".command").hidden = !names.length;
  };
  if (command) {
    command.dataset.start = command.textContent.slice(0, command.textContent.lastIndexOf(" --drop "));
    for (const box of boxes) box.addEventListener("change", write);
    write();
  }
  const find = document.getElementById("find"), level = document.getElementById("level");
  if (!find) return;
  const filter = () => {
    const wanted = find.value.trim().toLocaleLowerCase();
    const holds = (element) => element.textContent.toLocaleLowerCase().includes(wanted);
    let left = 0;
    for (const section of document.querySelectorAll("section.finding")) {
      const right = !level.value || section.dataset.level === level.value;
      const whole = !wanted || holds(section.querySelector("h2"));
      let shown = 0;
      for (const item of section.querySelectorAll("figure, .lines li")) {
        item.hidden = !(whole || holds(item));
        shown += !item.hidden;
      }
      for (const fold of section.querySelectorAll("details")) if (wanted) fold.open = !whole && Boolean(fold.querySelector("figure:not([hidden]), li:not([hidden])"));
      section.hidden = !right || !(whole || shown || holds(section.querySelector(".summary")));
      left += !section.hidden;
    }
    for (const line of document.querySelectorAll("nav li")) {
      line.hidden = document.getElementById(line.querySelector("a").hash.slice(1)).hidden;
    }
    document.getElementById("none").hidden = left > 0;
  };
  find.addEventListener("input", filter);
  level.addEventListener("change", filter);
})();
