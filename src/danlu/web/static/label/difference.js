// Where an answer differs from another, word by word (Chinese: character by character).

const WORDS = /[\u3400-\u9fff]|[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}\s]/gu;
const MOST = 1200; // words; beyond, the comparison would take too long

/** Pieces [text, isNew] of `text`, seen from `other`; null where they are too long to compare. */
export function difference(text, other) {
  const a = other.match(WORDS) ?? [];
  const b = text.match(WORDS) ?? [];
  if (a.length > MOST || b.length > MOST) return null;
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  }
  const pieces = [];
  const put = (word, isNew) => {
    if (pieces.at(-1)?.[1] === isNew) pieces.at(-1)[0] += word;
    else pieces.push([word, isNew]);
  };
  let i = 0;
  for (let j = 0; j < b.length; ) {
    if (i < a.length && a[i] === b[j]) {
      put(b[j], false);
      i += 1;
      j += 1;
    } else if (i < a.length && common[i + 1][j] >= common[i][j + 1]) i += 1;
    else {
      put(b[j], true);
      j += 1;
    }
  }
  return pieces;
}
