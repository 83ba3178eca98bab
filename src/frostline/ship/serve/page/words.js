// What the page says, in English and Chinese. Values may be functions of what they tell.
const en = {
  skip: "Skip to the pictures", title: "What does the picture show?", pictures: "Pictures",
  drop: "Drop pictures here", touch: "Choose pictures, or take one", paste: "or paste one with Ctrl+V", choose: "Choose pictures", camera: "Use the camera",
  answers: "Answers", csv: "Download CSV", clear: "Clear", picture: "Picture", answer: "Answer", probability: "Probability",
  set: "Set", kept: "Pictures are answered in memory and never stored.", api: "For programs: the API",
  shoot: "Take the picture", close: "Close", token: "This server asks for a token.", enter: "Enter",
  wrong: "That is not the token.",
  knows: (names, more) => `It knows ${names}${more ? ` and ${more} more` : ""}.`,
  measured: (split, value, low, high, n) => `${value} of ${n} ${split} pictures right (95 % interval ${low} to ${high})`,
  working: (done, all) => (all === 1 ? "Looking …" : `Looking: ${done} of ${all} …`),
  done: (all, faults) => (all ? `${all} answered${faults ? `, ${faults} not readable` : ""}.` : "Not readable."),
  said: (name, label, share) => `${name}: ${label}, ${share}`,
  count: (n) => `${n} pictures`,
  fault: "It cannot be read:", unreadable: "cannot be read",
  novel: "Unlike the pictures that it learnt from: perhaps none of these.",
  coverage: (share) => `${share} of sets like this hold the right class`,
  nothing: "none of these",
  why: "Show where it looks", picture_again: "Show the picture", drawing: "Drawing the heat map …",
  heat: (label) => `Heat map: the evidence for ${label}`,
  large: (size) => `larger than the server takes (${size})`,
  busy: "The server is busy; trying again …", away: "The server does not answer.",
  no_camera: "The camera cannot be used:", not_pictures: "There was no picture in it.",
};
const zh = {
  skip: "跳到图片", title: "图片里是什么？", pictures: "图片",
  drop: "把图片拖到这里", touch: "选择图片，或拍一张", paste: "或用 Ctrl+V 粘贴", choose: "选择图片", camera: "使用摄像头",
  answers: "结果", csv: "下载 CSV", clear: "清空", picture: "图片", answer: "结果", probability: "概率",
  set: "预测集", kept: "图片只在内存中处理，绝不保存。", api: "供程序使用的 API",
  shoot: "拍照", close: "关闭", token: "此服务器需要令牌。", enter: "进入",
  wrong: "令牌不正确。",
  knows: (names, more) => `它认识：${names}${more ? `，另有 ${more} 类` : ""}。`,
  measured: (split, value, low, high, n) => `在 ${n} 张 ${split} 图片上正确率 ${value}（95 % 区间 ${low} 至 ${high}）`,
  working: (done, all) => (all === 1 ? "正在识别……" : `正在识别：${done} / ${all} ……`),
  done: (all, faults) => (all ? `已识别 ${all} 张${faults ? `，${faults} 张无法读取` : ""}。` : "无法读取。"),
  said: (name, label, share) => `${name}：${label}，${share}`,
  count: (n) => `${n} 张图片`,
  fault: "无法读取：", unreadable: "无法读取",
  novel: "与训练图片不相似：可能不属于任何一类。",
  coverage: (share) => `这样的预测集有 ${share} 包含正确类别`,
  nothing: "都不是",
  why: "查看依据（热力图）", picture_again: "显示原图", drawing: "正在绘制热力图……",
  heat: (label) => `热力图：判断为 ${label} 的依据`,
  large: (size) => `超过服务器允许的大小（${size}）`,
  busy: "服务器繁忙，正在重试……", away: "服务器没有响应。",
  no_camera: "无法使用摄像头：", not_pictures: "其中没有图片。",
};

let language = "en";
try {
  language = localStorage.getItem("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
} catch { /* storage may be forbidden */ }

export const word = (key, ...told) => {
  const found = (language === "zh" ? zh : en)[key];
  return typeof found === "function" ? found(...told) : found;
};

export const percent = (p, digits = 1) =>
  new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(p);

// A probability is never shown as certain.
export const share = (p) => (p > 0.999 ? `> ${percent(0.999)}` : p < 0.001 ? `< ${percent(0.001)}` : percent(p));

export const listed = (names) => names.join(language === "zh" ? "、" : ", ");

export function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const place of document.querySelectorAll("[data-word]")) place.textContent = word(place.dataset.word);
  for (const place of document.querySelectorAll("[data-label]")) place.setAttribute("aria-label", word(place.dataset.label));
  const other = document.getElementById("language");
  other.textContent = language === "zh" ? "English" : "中文";
  other.lang = language === "zh" ? "en" : "zh";
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try { localStorage.setItem("language", language); } catch { /* then it is asked again next time */ }
  speak();
}
