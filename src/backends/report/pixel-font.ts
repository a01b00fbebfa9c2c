/** Glyphs of 3 × 5 pixels: five rows from the top, each three bits from the left. */
const glyphs: Readonly<Record<string, string>> = {
  ...{ A: "25755", B: "65656", C: "34443", D: "65556", E: "74647", F: "74644", G: "34553", H: "55755", I: "72227" },
  ...{ J: "11152", K: "55655", L: "44447", M: "57755", N: "65555", O: "25552", P: "65644", Q: "25563", R: "65655" },
  ...{ S: "34216", T: "72222", U: "55557", V: "55552", W: "55775", X: "55255", Y: "55222", Z: "71247" },
  ...{ 0: "75557", 1: "26227", 2: "61247", 3: "61216", 4: "55711", 5: "74616", 6: "34757", 7: "71222", 8: "75757" },
  ...{ 9: "75716", ".": "00002", ",": "00024", "-": "00700", "+": "02720", "=": "07070", "<": "12421", ">": "42124" },
  ...{ "(": "12221", ")": "42224", "/": "11244", "%": "51245", ":": "02020", "*": "05250", "&": "25253", "|": "22222" },
  ...{ "!": "22202", "[": "32223", "]": "62226", _: "00007", "×": "05250", "·": "00200", "?": "61202", "'": "22000" },
  ...{ ";": "02024", "^": "25000", "~": "00360", "≥": "42427", "≤": "12127", "–": "00700", "…": "00005" },
};

/** Pixels from one character to the next, at scale 1; a line is `lineHeight` high. */
export const advance = 4;
export const lineHeight = 7;

/** Draws text in capitals with its top left corner at (x, y). What lies outside of the picture is left out. */
export function drawText(
  picture: { readonly width: number; readonly height: number; readonly pixels: Uint8Array },
  text: string,
  at: { readonly x: number; readonly y: number; readonly scale: number; readonly colour: number },
): void {
  const { width, height, pixels } = picture;
  [...text.toUpperCase()].forEach((character, i) => {
    const rows = character === " " ? "00000" : (glyphs[character] ?? glyphs["?"]!);
    for (let row = 0; row < 5 * at.scale; row++)
      for (let column = 0; column < 3 * at.scale; column++) {
        const bits = Number(rows[Math.floor(row / at.scale)]);
        if ((bits & (4 >> Math.floor(column / at.scale))) === 0) continue;
        const [x, y] = [at.x + i * advance * at.scale + column, at.y + row];
        if (x >= 0 && y >= 0 && x < width && y < height) pixels[y * width + x] = at.colour;
      }
  });
}
