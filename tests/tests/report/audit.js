// What an opened report shows, as plain data: evaluated in the page by the test.
(() => {
  const box = (element) => element.getBoundingClientRect();
  const isThere = (element) => box(element).width > 0 || box(element).height > 0;
  const overlap = (one, other) => {
    const [a, b] = [box(one), box(other)];
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const along = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    // Boxes of lines of text are higher than their letters.
    return across > 1 && along > 0.35 * Math.min(a.height, b.height);
  };
  document.querySelectorAll("details").forEach((details) => (details.open = true));
  const charts = [...document.querySelectorAll("svg.chart")].map((svg) => {
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent !== "\u00d7");
    const clashes = [];
    texts.forEach((one, index) =>
      texts.slice(index + 1).forEach((other) => {
        if (overlap(one, other)) clashes.push(`${one.textContent} | ${other.textContent}`);
      }),
    );
    const frame = box(svg);
    const outside = texts.filter((text) => box(text).right > frame.right + 2 || box(text).left < frame.left - 2);
    return {
      description: svg.getAttribute("aria-label"),
      marks: [...svg.querySelectorAll(".mean, .seed, .curve, .scan")].filter(isThere).length,
      clashes,
      outside: outside.map((text) => text.textContent),
    };
  });
  const images = [...document.images].map((image) => ({ width: image.naturalWidth, alternative: image.alt }));
  return {
    headline: document.querySelector("#headline").textContent,
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    charts,
    images,
  };
})()
