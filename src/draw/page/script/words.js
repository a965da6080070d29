/** The languages of the page. To add one, translate words_en.js and name it here. */

import { en } from "./words_en.js";
import { ko } from "./words_ko.js";

/** @type {Record<string, typeof en>} */
export const WORDS = { en, ko };
