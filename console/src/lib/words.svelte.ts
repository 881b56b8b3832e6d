// The words of the console: English as written in the code, and other languages by dictionary.

import { chinese } from './chinese';

export const LANGUAGES = { en: 'English', zh: '简体中文' } as const;
export type Language = keyof typeof LANGUAGES;

function usual(): Language {
  const kept = localStorage.getItem('language');
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.language.startsWith('zh') ? 'zh' : 'en';
}

class Words {
  language = $state<Language>(usual());

  choose(language: Language) {
    this.language = language;
    localStorage.setItem('language', language);
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  }
}

export const words = new Words();
words.choose(words.language);

/** A sentence in the language chosen; `{name}` stands for a value. */
export function t(sentence: string, values: Record<string, string | number> = {}): string {
  const told = (words.language === 'zh' && chinese[sentence]) || sentence;
  return told.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A sentence of the gateway: its template and what stands in it, some of which may be words themselves. */
export interface Said {
  message: string;
  with: Record<string, string | Said>;
}

function fill(said: Said): string {
  return t(said.message, Object.fromEntries(Object.entries(said.with).map(([name, value]) => [name, typeof value === 'string' ? value : fill(value)])));
}

/** What the gateway said, in the language chosen; in its own words where its template is not known here. */
export function told(english: string, said?: Said): string {
  return words.language === 'zh' && said && chinese[said.message] ? fill(said) : english;
}
