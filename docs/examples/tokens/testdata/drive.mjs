// Does what its lines of input ask for, and answers each in a line of JSON.
import { createInterface } from "node:readline";
import { Token } from "./tokens.mjs";

const token = new Token(JSON.parse(process.argv[2]));
for await (const line of createInterface({ input: process.stdin })) {
  const [word, ...rest] = JSON.parse(line);
  try {
    console.log(JSON.stringify(await token[word](...rest)));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
