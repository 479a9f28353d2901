// A button that prints the page: without scripts there is none, and nothing else is missing.
const template = document.getElementById("print-button");
if (template) {
  const button = template.content.firstElementChild.cloneNode(true);
  button.addEventListener("click", () => window.print());
  document.querySelector("article > header").append(button);
}
