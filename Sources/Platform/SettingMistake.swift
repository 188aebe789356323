/// What is wrong with a setting, or with a file that one names: starting again mends nothing.
package protocol SettingMistake: Error {}
